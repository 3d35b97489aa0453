//! The page for people, at `/`: HTML, style and script as they are in `web/`. The script asks
//! for `/status`, as any monitor does.

use super::http::Answer;

/// The page has files of its own alone, and asks this relay alone; no page of somebody else's
/// shows it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// A file of the page.
pub fn answer(path: &str) -> Option<Answer> {
    let (content_type, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("web/page.html")),
        "/page.css" => ("text/css; charset=utf-8", include_str!("web/page.css")),
        "/page.js" => (
            "text/javascript; charset=utf-8",
            include_str!("web/page.js"),
        ),
        _ => return None,
    };
    Some(Answer::page(content_type, text).with_policy(POLICY))
}
