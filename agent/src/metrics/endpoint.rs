//! The endpoint: [`Endpoint`] listens, `GET /metrics` is answered with OpenMetrics text, everything else refused.

use anyhow::Context as _;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::{Address, Metrics};
use crate::observe::{Level, log};
use crate::process;

/// Connections served at a time.
const CONNECTIONS: usize = 8;
/// One that takes longer is closed.
const PATIENCE: Duration = Duration::from_secs(30);
/// What OpenMetrics calls itself.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A socket that listens.
#[derive(Debug)]
pub enum Endpoint {
    /// In the file system.
    Unix(StdUnixListener),
    /// On the loopback device.
    Tcp(StdTcpListener),
}

impl Endpoint {
    /// Listens. A socket that a dead process left is replaced.
    pub fn bind(address: &Address) -> anyhow::Result<Endpoint> {
        let context = || format!("cannot listen on {address} for metrics");
        Ok(match address {
            Address::Unix(path) => Endpoint::Unix(process::listen(path, 0o660).with_context(context)?),
            Address::Tcp(address) => {
                let listener = StdTcpListener::bind(address).with_context(context)?;
                listener.set_nonblocking(true).with_context(context)?;
                Endpoint::Tcp(listener)
            }
        })
    }

    /// Serves, until the process ends.
    pub async fn serve(self, metrics: Arc<Metrics>) {
        if let Err(error) = self.accept(metrics).await {
            log(Level::Err, "metrics", format_args!("not served any more: {error}"));
        }
    }

    async fn accept(self, metrics: Arc<Metrics>) -> io::Result<()> {
        match self {
            Endpoint::Unix(listener) => {
                let listener = UnixListener::from_std(listener)?;
                serve_each(|cx| listener.poll_accept(cx).map_ok(|(stream, _)| stream), metrics).await;
            }
            Endpoint::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                serve_each(|cx| listener.poll_accept(cx).map_ok(|(stream, _)| stream), metrics).await;
            }
        }
        Ok(())
    }
}

/// Serves whoever is accepted, so many at a time.
async fn serve_each<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<S>>,
    metrics: Arc<Metrics>,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = permits.clone().acquire_owned().await;
        match poll_fn(&mut accept).await {
            Ok(stream) => spawn(stream, metrics.clone(), permit),
            Err(error) => pause(error).await,
        }
    }
}

/// Out of file descriptors, most likely: there is nothing to do but to wait for some.
async fn pause(error: io::Error) {
    log(Level::Warn, "metrics", format_args!("accept: {error}"));
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn spawn<P: Send + 'static>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    metrics: Arc<Metrics>,
    permit: P,
) {
    tokio::spawn(async move {
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(&request, &metrics);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new().keep_alive(true).serve_connection(TokioIo::new(stream), service);
        // A peer that talks nonsense or nothing is its own affair.
        let _ = tokio::time::timeout(PATIENCE, connection).await;
        drop(permit);
    });
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, TEXT, metrics.text()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "metrics are at /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
