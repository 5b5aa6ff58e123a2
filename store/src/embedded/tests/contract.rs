//! The contract, on a real disk, on a simulated one, and with segments so short that the log rolls
//! all the time.

mod real {
    use crate::embedded::{Embedded, Options};
    use crate::{AppendError, Appended, StreamAppend, StreamId};
    use crate::{Direction, EventStore, Filter, Page, Position, ReadError, RecordedEvent};
    use std::sync::Arc;
    use tokio::sync::watch;

    /// A store together with its directory, which goes when the store does.
    struct InTemp(Embedded, #[expect(dead_code, reason = "kept for its drop")] tempfile::TempDir);

    fn fresh() -> Arc<dyn EventStore> {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes: 1 << 20, ..Options::default() };
        Arc::new(InTemp(Embedded::open(dir.path(), options).unwrap(), dir))
    }

    #[async_trait::async_trait]
    impl EventStore for InTemp {
        async fn append(&self, batches: Vec<StreamAppend>) -> Result<Appended, AppendError> {
            self.0.append(batches).await
        }

        async fn read_stream(
            &self,
            stream: &StreamId,
            from: u64,
            direction: Direction,
            max: usize,
        ) -> Result<Vec<RecordedEvent>, ReadError> {
            self.0.read_stream(stream, from, direction, max).await
        }

        async fn read_all(
            &self,
            from: Position,
            filter: &Filter,
            max: usize,
        ) -> Result<Page, ReadError> {
            self.0.read_all(from, filter, max).await
        }

        fn head(&self) -> Position {
            self.0.head()
        }

        fn watch_head(&self) -> watch::Receiver<Position> {
            self.0.watch_head()
        }

        fn trouble(&self) -> Option<String> {
            self.0.trouble()
        }
    }

    crate::contract_tests!(async || fresh());
}

mod simulated {
    use crate::EventStore;
    use crate::embedded::sim::SimDisk;
    use crate::embedded::tests::{open, tiny};
    use std::sync::Arc;

    crate::contract_tests!(async || {
        Arc::new(open(&SimDisk::new(), tiny(1 << 20))) as Arc<dyn EventStore>
    });
}

/// Nothing is kept at hand: every read comes from the disk.
mod cold {
    use crate::EventStore;
    use crate::embedded::Options;
    use crate::embedded::sim::SimDisk;
    use crate::embedded::tests::{open, tiny};
    use std::sync::Arc;

    crate::contract_tests!(async || {
        let options = Options { cache_bytes: 0, ..tiny(768 << 10) };
        Arc::new(open(&SimDisk::new(), options)) as Arc<dyn EventStore>
    });
}
