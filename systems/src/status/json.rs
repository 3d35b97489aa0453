//! Writes JSON: objects and lists as they come, without a tree in memory.

use std::fmt::Write as _;

use super::escape::Json;

/// An object, whose members follow each other.
pub struct Object<'a> {
    out: &'a mut String,
    has_members: bool,
}

impl<'a> Object<'a> {
    /// Opens it. [`Object::end`] closes it, if it does not stay open for a list.
    pub fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self {
            out,
            has_members: false,
        }
    }

    pub fn end(self) {
        self.out.push('}');
    }

    /// A number, true, false or null.
    pub fn plain(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.name(name);
        write!(self.out, "{value}").expect(LAW);
        self
    }

    /// A text, which may have any bytes.
    pub fn text(&mut self, name: &str, text: impl AsRef<[u8]>) -> &mut Self {
        self.plain(name, Json(text.as_ref()))
    }

    /// A text, or null.
    pub fn optional(&mut self, name: &str, text: Option<impl AsRef<[u8]>>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.plain(name, "null"),
        }
    }

    /// A moment in seconds since 1970; null if it is 0.
    pub fn time(&mut self, name: &str, unix_s: u64) -> &mut Self {
        if unix_s == 0 {
            return self.plain(name, "null");
        }
        let time = baton_components::time::Utc(unix_s);
        self.plain(name, format_args!("\"{time}\""))
    }

    /// A member that is an object.
    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        self.name(name);
        let mut inner = Object::begin(self.out);
        fill(&mut inner);
        inner.end();
        self
    }

    /// A member that is a list of what `write` writes of each item.
    pub fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut String, T),
    ) -> &mut Self {
        self.name(name);
        self.out.push('[');
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            write(self.out, item);
        }
        self.out.push(']');
        self
    }

    /// Opens a list that is written later: it and the object stay open.
    pub fn open_list(mut self, name: &str) {
        self.name(name);
        self.out.push('[');
    }

    fn name(&mut self, name: &str) {
        let before = if std::mem::replace(&mut self.has_members, true) {
            ","
        } else {
            ""
        };
        write!(self.out, "{before}\"{name}\":").expect(LAW);
    }
}

const LAW: &str = "law: a string takes all that is written to it";
