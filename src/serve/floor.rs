//! Parts that run side by side. If one ends by itself the house comes down with its name.

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exit::Ending;

/// Parts that run side by side and are stopped together.
#[derive(Default)]
pub(crate) struct Floor {
    parts: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: watch::Sender<bool>,
}

impl Floor {
    /// Told when the floor stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(crate) fn part(
        &mut self,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.parts.spawn(async move { (name, part.await) });
    }

    /// Ends when a part has ended by itself, with its name.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match self.parts.join_next().await {
            Some(Ok((_, Err(error)))) if error.is::<Ending>() => error,
            Some(Ok((name, Err(error)))) => error.context(format!("{name} has stopped")),
            Some(Ok((name, Ok(())))) => anyhow::anyhow!("{name} has stopped"),
            Some(Err(error)) => anyhow::anyhow!("a part has panicked: {error}"),
            None => anyhow::anyhow!("nothing is running"),
        }
    }

    /// Stops all parts and waits for them.
    pub(super) async fn stop(&mut self) {
        self.stop.send_replace(true);
        while self.parts.join_next().await.is_some() {}
    }
}
