//! Tables and one property: through any number of rotations nobody meets a certificate that they do not
//! trust yet, or no longer.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
}

fn first() -> Term {
    Term::starting(at(0), at(0))
}

fn second(made: i64) -> Term {
    Term::starting(at(made), at(made) + OVERLAP)
}

#[rstest]
#[case::none(&[], 0, Decision::Make { signs_from: at(0) })]
#[case::young(&[first()], DAY, Decision::Keep)]
#[case::just_before_two_thirds(&[first()], 486 * DAY, Decision::Keep)]
#[case::after_two_thirds(&[first()], 487 * DAY, Decision::Make { signs_from: at(488 * DAY) })]
#[case::next_is_there(&[first(), second(487 * DAY)], 488 * DAY, Decision::Keep)]
#[case::first_expired(&[first(), second(487 * DAY)], 730 * DAY, Decision::Drop)]
#[case::all_expired(&[first()], 731 * DAY, Decision::Make { signs_from: at(731 * DAY) })]
fn decisions(#[case] terms: &[Term], #[case] now: i64, #[case] expected: Decision) {
    assert_eq!(decide(terms, at(now)), expected);
}

#[rstest]
#[case::alone(&[first()], 0, Some(0))]
#[case::next_must_wait(&[first(), second(487 * DAY)], 487 * DAY + 23 * HOUR, Some(0))]
#[case::next_signs(&[first(), second(487 * DAY)], 488 * DAY, Some(1))]
#[case::clock_went_back(&[first(), second(487 * DAY)], -DAY, Some(0))]
#[case::expired(&[first()], 730 * DAY, None)]
#[case::none(&[], 0, None)]
fn signers(#[case] terms: &[Term], #[case] now: i64, #[case] expected: Option<usize>) {
    assert_eq!(signer(terms, at(now)), expected);
}

#[test]
fn a_leaf_never_outlives_its_authority() {
    assert_eq!(leaf_expiry(&first(), LEAF_LIFE, at(0)), at(30 * DAY));
    assert_eq!(leaf_expiry(&first(), LEAF_LIFE, at(729 * DAY)), at(730 * DAY));
}

/// One leaf in somebody's hands.
#[derive(Clone, Copy)]
struct Leaf {
    authority: Term,
    made: Timestamp,
}

impl Leaf {
    fn issue(terms: &[Term], now: Timestamp) -> Self {
        Self { authority: terms[signer(terms, now).expect("a signer")], made: now }
    }

    fn expires(&self) -> Timestamp {
        leaf_expiry(&self.authority, LEAF_LIFE, self.made)
    }

    fn renewed(self, terms: &[Term], now: Timestamp) -> Self {
        if now >= renewal_time(self.made - SKEW, self.expires()) { Self::issue(terms, now) } else { self }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// `agent_lag` is how old an agent's files may be, `operator_lag` how old another operator's view of
    /// the set; both are looked at every `step` for five years.
    #[test]
    fn nobody_is_refused(step in 600_i64..7_200, agent_lag in 0_usize..2, operator_lag in 0_usize..2) {
        let mut now = at(0);
        let mut views: Vec<Vec<Term>> = Vec::new();
        let mut terms = vec![first()];
        let (mut operator, mut agent) = (Leaf::issue(&terms, now), Leaf::issue(&terms, now));
        while now < at(5 * 365 * DAY) {
            match decide(&terms, now) {
                Decision::Keep => {}
                Decision::Drop => terms.retain(|term| term.expires > now),
                Decision::Make { signs_from } => {
                    terms.retain(|term| term.expires > now);
                    terms.push(Term::starting(now, signs_from));
                }
            }
            views.push(terms.clone());
            let seen = |lag: usize| &views[views.len().saturating_sub(1 + lag)];
            operator = operator.renewed(seen(operator_lag), now);
            agent = agent.renewed(seen(agent_lag), now);
            prop_assert!(operator.expires() > now && agent.expires() > now);
            prop_assert!(seen(agent_lag).contains(&operator.authority), "an agent refuses the operator");
            prop_assert!(seen(operator_lag).contains(&agent.authority), "the operator refuses an agent");
            prop_assert!(terms.len() <= 2);
            now += SignedDuration::from_secs(step);
        }
    }
}
