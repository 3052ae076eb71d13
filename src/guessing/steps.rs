//! When what is wrong is answered: in steps, the same for everything that can be guessed.

use std::time::Duration;

use tokio::time::Instant;

/// All kinds of wrong take the same statements; what is left of a difference, some tenths of a millisecond of rows that
/// are there or not, goes under in the wait for the end of a step.
const STEP: Duration = Duration::from_millis(25);

/// Waits for the end of the step, counted from when the request was begun.
pub async fn wait(begun: Instant) {
    tokio::time::sleep_until(next_step(begun, Instant::now())).await;
}

fn next_step(begun: Instant, now: Instant) -> Instant {
    let steps = now.duration_since(begun).as_micros() / STEP.as_micros() + 1;
    begun + STEP * u32::try_from(steps).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_come_in_steps() {
        let begun = Instant::now();
        for (took, step) in [
            (0, 25),
            (1, 25),
            (24, 25),
            (25, 50),
            (26, 50),
            (1_000, 1_025),
        ] {
            let now = begun + Duration::from_millis(took);
            assert_eq!(next_step(begun, now) - begun, Duration::from_millis(step));
        }
    }
}
