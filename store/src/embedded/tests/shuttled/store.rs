//! A store like [`crate::embedded::Embedded`], with its writer in one of shuttle's threads.

use std::hash::RandomState;
use std::sync::Arc;

use async_trait::async_trait;
use shuttle::thread;

use super::super::super::encode::Encoded;
use super::super::super::group::Group;
use super::super::super::twins::Twins;
use super::super::super::view::View;
use super::super::tiny;
use super::queue::{Consumer, Producers, queue};
use super::stepping::Stepping;
use super::writer::{self, Order, Writer};
use super::{recovery, sync};
use crate::embedded::Disk;
use crate::{
    AppendError, Appended, Direction, EventStore, Filter, Page, Position, ReadError, RecordedEvent,
    StreamAppend, StreamId,
};

pub(super) struct Store {
    view: Arc<View>,
    head: tokio::sync::watch::Receiver<Position>,
    queue: Producers<Order>,
    key: RandomState,
    pub(super) disk: Stepping,
}

impl Store {
    pub(super) fn open(twins: Twins, places: usize) -> (Arc<Self>, thread::JoinHandle<()>) {
        let mut options = tiny(16 << 10);
        options.lab.twins = twins;
        let disk = Stepping::new();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let recovery::Opened { log, view, indexer, lock, .. } =
            recovery::recover(&shared, &options).expect("a new log");
        let (told, head) = tokio::sync::watch::channel(Position::ZERO);
        let (queue, orders): (Producers<Order>, Consumer<Order>) = queue(places, twins);
        let writer = Writer {
            log,
            view: Arc::clone(&view),
            head: sync::watch::Sender(told),
            queue: orders,
            segment_bytes: options.segment_bytes(),
            group: Group::default(),
            twins,
            indexer,
            lock,
        };
        disk.wake();
        let writer = thread::spawn(move || writer.run());
        (Arc::new(Self { view, head, queue, key: RandomState::new(), disk }), writer)
    }

    pub(super) async fn close(&self) {
        let (done, closed) = tokio::sync::oneshot::channel();
        if self.queue.push(Order::Close(done)).await.is_ok() {
            closed.await.expect("the writer says when it is closed");
        }
    }
}

#[async_trait]
impl EventStore for Store {
    async fn append(&self, batches: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        writer::append(&self.queue, &self.view, Encoded::new(batches, &self.key)).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.view.read_stream(stream, from, direction, max).await
    }

    async fn read_all(
        &self,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        self.view.read_all(from, filter, max).await
    }

    fn head(&self) -> Position {
        *self.head.borrow()
    }

    fn watch_head(&self) -> tokio::sync::watch::Receiver<Position> {
        let mut head = self.head.clone();
        head.mark_unchanged();
        head
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
