//! Tests that each shape does the same work, so that their figures are comparable.

use super::*;

/// Runs some rounds; gives what was done, by operation and kind.
fn run<S: Shape>(seed: u64) -> [Counts; 5] {
    let mut done = [Counts::default(); 5];
    let mut witness = |kind, operation, count, _: Duration| {
        done[operation as usize][kind] += count;
    };
    let mut population = Population::<S>::new(seed, true);
    population.fill(70 * FAMILY_SIZE, &mut witness);
    for _ in 0..3 {
        let steps = population.round();
        population.run(&steps, &mut witness);
        assert_eq!(population.shape.counts(), Counts::of_families(70));
    }
    let steps = population.drain();
    population.run(&steps, &mut witness);
    assert_eq!(population.shape.counts(), Counts::default(), "{}", S::NAME);
    assert_eq!(population.shape.breaches(), Vec::<String>::new());
    done
}

#[test]
fn every_shape_does_the_same_and_keeps_nothing() {
    let ours = run::<Arenas>(1);
    assert_eq!(ours, run::<Locked>(1));
    assert_eq!(ours, run::<Bevy>(1));
    let [created, _, _, released, reclaimed] = ours;
    assert_eq!(created, Counts::of_families(70 + 3 * 64));
    assert_eq!((released, reclaimed), (created, created));
}

#[test]
fn a_held_record_outlives_its_owner() {
    fn check<S: Shape>() {
        let mut shape = S::new(true);
        let births: Vec<Birth> = BY_BIRTH
            .into_iter()
            .flat_map(|kind| births(kind, 0))
            .collect();
        shape.create(&births);
        let session = Member::new(Kind::Session, 0, 0);
        let trace = Member::new(Kind::Trace, 0, 0);
        let streams: Vec<Member> = (0..in_family(Kind::Stream))
            .map(|ordinal| Member::new(Kind::Stream, 0, ordinal))
            .collect();
        let holding = [Kind::ViewerStream, Kind::Index].into_iter();
        let holding: Vec<Member> = holding
            .flat_map(|kind| super::births(kind, 0))
            .map(|birth| birth.member)
            .collect();
        // From the held to the holders: nothing goes before the last.
        for members in [&[session][..], &[trace], &streams] {
            shape.release(members);
            shape.reclaim();
            assert_eq!(shape.counts(), Counts::of_families(1), "{}", S::NAME);
        }
        shape.release(&holding);
        shape.reclaim();
        let mut gone = Counts::default();
        for kind in [
            Kind::ViewerStream,
            Kind::Index,
            Kind::Stream,
            Kind::Trace,
            Kind::Session,
        ] {
            gone[kind] = in_family(kind);
        }
        let left = Counts::of_families(1).without(&gone);
        assert_eq!(shape.counts(), left, "{}", S::NAME);
    }
    check::<Arenas>();
    check::<Locked>();
    check::<Bevy>();
}
