//! A way to vehicles that writes down what is sent, and vehicles that obey, or do not.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use holdfast_domain::process::VehicleCall;
use holdfast_domain::vehicle::{Answer, CommandKind};
use tokio::sync::watch;
use uuid::Uuid;

use super::world::NOON;
use crate::ports::{Sent, VehicleLink};
use crate::{Engine, VehicleAnswerIn};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    /// The vehicle gets it and says nothing.
    #[default]
    Silent,
    /// The vehicle does it and says so at once.
    Obedient,
    /// There is no broker.
    Unconnected,
    /// The message goes out, and the process is stopped before it hears so.
    Lethal,
    /// The process is stopped before the message goes out.
    Stillborn,
}

#[derive(Default)]
struct Inner {
    engine: Option<Engine>,
    manner: Manner,
    sent: Vec<VehicleCall>,
    /// How often a vehicle has turned its lock on account of a command: it acts once on each.
    acted: HashMap<Uuid, usize>,
}

pub(super) struct SimLink {
    inner: Mutex<Inner>,
    count: watch::Sender<usize>,
}

impl Default for SimLink {
    fn default() -> Self {
        Self { inner: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl SimLink {
    pub(super) fn serves(&self, engine: &Engine) {
        self.inner().engine = Some(engine.clone());
    }

    pub(super) fn behave(&self, manner: Manner) {
        self.inner().manner = manner;
    }

    /// A new process has a new connection.
    pub(super) fn revive(&self) {
        let mut inner = self.inner();
        if matches!(inner.manner, Manner::Lethal | Manner::Stillborn) {
            inner.manner = Manner::Silent;
        }
    }

    /// Everything that was sent, oldest first.
    pub(super) fn sent(&self) -> Vec<VehicleCall> {
        self.inner().sent.clone()
    }

    /// How many different commands some vehicle has acted on.
    pub(super) fn acted(&self) -> usize {
        self.inner().acted.len()
    }

    /// The n-th message, from 1, once it was sent.
    pub(super) async fn nth(&self, nth: usize) -> VehicleCall {
        self.tried(nth).await;
        self.inner().sent[nth - 1].clone()
    }

    /// Once so many messages were handed in.
    pub(super) async fn tried(&self, count: usize) {
        let mut tried = self.count.subscribe();
        tried.wait_for(|tried| *tried >= count).await.expect("the link lives");
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, call: &VehicleCall) {
        let mut inner = self.inner();
        inner.sent.push(call.clone());
        *inner.acted.entry(call.command_id).or_default() += 1;
        drop(inner);
        self.count.send_modify(|count| *count += 1);
    }
}

#[async_trait]
impl VehicleLink for SimLink {
    async fn send(&self, call: &VehicleCall) -> Sent {
        let (manner, engine) = {
            let inner = self.inner();
            (inner.manner, inner.engine.clone())
        };
        match manner {
            Manner::Unconnected => {
                self.count.send_modify(|count| *count += 1);
                return Sent::NotConnected("no broker".into());
            }
            Manner::Stillborn => {
                self.count.send_modify(|count| *count += 1);
                std::future::pending::<()>().await;
            }
            Manner::Silent | Manner::Obedient | Manner::Lethal => self.note(call),
        }
        match (manner, engine) {
            (Manner::Obedient, Some(engine)) => {
                let answer = obeyed(call);
                engine.vehicle_answered(call.vehicle_id.clone(), answer).await.expect("recorded");
            }
            (Manner::Lethal, _) => std::future::pending::<()>().await,
            (Manner::Obedient | Manner::Silent | Manner::Unconnected | Manner::Stillborn, _) => {}
        }
        Sent::Handed
    }
}

/// What a vehicle says that has done as it was told.
pub(super) fn obeyed(call: &VehicleCall) -> VehicleAnswerIn {
    let answer = match call.kind {
        CommandKind::Unlock => Answer::Unlocked,
        CommandKind::Lock => Answer::Locked,
    };
    says(call, answer)
}

pub(super) fn says(call: &VehicleCall, answer: Answer) -> VehicleAnswerIn {
    VehicleAnswerIn {
        kind: call.kind,
        answer,
        command_id: call.command_id,
        device_time: NOON,
        odometer_m: None,
        fuel_pct: None,
    }
}
