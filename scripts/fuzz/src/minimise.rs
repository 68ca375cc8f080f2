//! What of a program is needed for what it reaches.

use crate::program::Program;

/// Leaves out calls as long as `still` holds of the rest.
pub fn minimise(program: &Program, mut still: impl FnMut(&Program) -> bool) -> Program {
    let mut least = program.clone();
    // A whole thread at once, then call by call, the last first: what is made early is used later.
    for thread in (0..least.threads.len()).rev() {
        let mut less = least.clone();
        less.threads.remove(thread);
        if still(&less) {
            least = less;
        }
    }
    let parts = least.parts().count();
    for part in (0..parts).rev() {
        let calls = least.parts().nth(part).map_or(0, Vec::len);
        for call in (0..calls).rev() {
            let mut less = least.clone();
            let of = less.parts_mut().nth(part).expect("parts stay");
            of.remove(call);
            if still(&less) {
                least = less;
            }
        }
    }
    least.threads.retain(|thread| !thread.is_empty());
    least
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::Dice;
    use crate::call::Call;

    #[test]
    fn only_what_is_needed_stays() {
        let mut dice = Dice::seed_from_u64(5);
        for _ in 0..50 {
            let mut program = Program::choose(&mut dice);
            let (one, other) = (
                Call::named("Close", &mut dice),
                Call::named("Get", &mut dice),
            );
            program.first.insert(1, one.clone());
            program.threads[0].push(other.clone());
            let has = |program: &Program, call: &Call| program.parts().flatten().any(|c| c == call);
            let least = minimise(&program, |less| has(less, &one) && has(less, &other));
            assert_eq!(least.first, [one]);
            assert_eq!(least.threads, [vec![other]]);
        }
    }

    #[test]
    fn nothing_goes_where_all_is_needed() {
        let program = Program::choose(&mut Dice::seed_from_u64(6));
        assert_eq!(minimise(&program, |_| false), program);
    }
}
