//! TCP to HTTP, with an end to every wait.
//!
//! `axum::serve` waits for ever for a head that comes in drops; here a client has ten seconds for its
//! first head (also when it sends nothing, or half a HTTP/2 preface), ten for each further one, thirty
//! for a body ([`crate::front`]), and sixty to take what it was sent. HTTP/1.1 and HTTP/2 (prior
//! knowledge) on one port. A stop closes idle connections at once and gives the others ten seconds.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tower::ServiceExt;

use crate::config::Limits;

/// Told to requests, so that what streams ends with the server.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(pub(crate) watch::Receiver<bool>);

impl Stopping {
    /// Resolves when the server stops.
    pub(crate) async fn stopped(&mut self) {
        // A sender that is gone stops nothing: whoever dropped it wants no graceful stop.
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Serves until `stop` says true; then finishes what is under way, at most [`Limits::drain`] long.
pub async fn serve(
    listener: TcpListener,
    router: axum::Router,
    limits: &Limits,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let http = Arc::new(builder(limits));
    let room = Arc::new(Semaphore::new(limits.connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut stopped = Stopping(stop.clone());
    let mut patience = Duration::from_millis(5);
    loop {
        let accepted = tokio::select! {
            () = stopped.stopped() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => {
                patience = Duration::from_millis(5);
                accepted
            }
            // Too many open files, or a client that is gone again: the loop survives both.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(patience).await;
                patience = (patience * 2).min(Duration::from_secs(1));
                continue;
            }
        };
        let first = Arc::new(AtomicBool::new(false));
        let service = service(router.clone(), peer, stop.clone(), first.clone());
        let io = TokioIo::new(Patient::new(stream, limits.write_stall));
        let connection = http.serve_connection_with_upgrades(io, service).into_owned();
        let connection = graceful.watch(connection);
        let head = limits.header_read;
        tokio::spawn(async move {
            tokio::pin!(connection);
            tokio::select! {
                // Errors here are the client's: it hung up, or broke the protocol.
                result = &mut connection => drop(result),
                () = no_head_in(head, &first) => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    Ok(())
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is room for one.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<Accepted> {
    let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(limits.header_bytes.max(8 << 10))
        .half_close(false)
        .keep_alive(true);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(128)
        .max_pending_accept_reset_streams(32)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    http
}

/// Resolves when no head has come in time; never when one has. (The reader that tells HTTP/2 from
/// HTTP/1 has no timeout of its own.)
async fn no_head_in(span: Duration, first: &AtomicBool) {
    tokio::time::sleep(span).await;
    if first.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
    }
}

fn service(
    router: axum::Router,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
    first: Arc<AtomicBool>,
) -> impl hyper::service::Service<
    Request<hyper::body::Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future: Send,
> + Send
+ 'static {
    hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        first.store(true, Ordering::Release);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Stopping(stop.clone()));
        router.clone().oneshot(request)
    })
}

/// A connection whose client must take what it is sent within `stall`, or loses it.
struct Patient {
    inner: TcpStream,
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(inner: TcpStream, stall: Duration) -> Self {
        Self { inner, stall, waiting: None }
    }

    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let stall = self.stall;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + stall)));
        ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.judge(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.judge(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
