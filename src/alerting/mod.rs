//! Alerting: finds out what people must know, fires and resolves alerts, and sends messages to every channel.
//!
//! [`evaluator`] reads the log and compares what holds with the alerts that are open; [`fan_out`] queues each event for
//! the channels that want it; [`deliver`] empties those queues. [`unwritable_alarm`] reports what cannot be written,
//! [`resend`] repeats firing alerts to Alertmanagers, [`heartbeat`] tells an outside service that all is well, [`digest`] sums up a day, [`meters`] counts. It reads the engine's state, and
//! the engine knows nothing of it.

pub mod deliver;
pub mod digest;
pub mod evaluator;
pub mod fan_out;
pub mod heartbeat;
pub mod meters;
pub mod resend;
pub mod unwritable_alarm;
