//! The socket end of the control interface: [`Listener`]. Commands about the log are answered here, the rest by the engine.

use anyhow::Context;
use ovsdb::frame::Framer;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::mpsc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::commands::{self, Command};
use super::{Reply, Request};
use crate::driver::{Message, ToEngine};
use crate::observe::coverage::{Happened, count};
use crate::observe::{Level, Log, log};
use crate::process;

/// The longest request.
const LIMIT: usize = 1 << 20;

/// A control socket that listens.
pub struct Listener {
    listener: StdListener,
}

#[derive(Deserialize)]
struct Call {
    id: Value,
    method: String,
    #[serde(default)]
    params: Vec<Value>,
}

impl Listener {
    /// Listens at `path`. A socket that a dead process left there is replaced.
    pub fn bind(path: &Path) -> anyhow::Result<Listener> {
        let listener = process::listen(path, 0o770);
        let listener = listener.with_context(|| format!("cannot listen on control socket {}", path.display()))?;
        Ok(Listener { listener })
    }

    /// Serves connections, until the process ends.
    pub fn serve(self, engine: ToEngine) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let listener = UnixListener::from_std(self.listener)?;
        Ok(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(serve(stream, engine.clone()));
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: there is nothing to do but to wait for some.
                        log(Level::Warn, "unixctl", format_args!("accept: {error}"));
                        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    }
                }
            }
        })
    }
}

/// How a caller wants replies.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Format {
    /// As text that ends with a line feed.
    #[default]
    Text,
    /// As JSON; what is text comes inside (Open vSwitch 3.5 and later).
    Json,
}

/// One caller, command after command.
async fn serve(mut stream: UnixStream, engine: ToEngine) {
    let (mut framer, mut format) = (Framer::new(LIMIT), Format::default());
    loop {
        match framer.next_frame() {
            Ok(None) => match stream.read_buf(framer.buffer()).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            Ok(Some(frame)) => {
                let Ok(call) = serde_json::from_str::<Call>(&frame.text) else {
                    log(Level::Warn, "unixctl", "a request that is none: connection closed");
                    return;
                };
                count(Happened::UnixctlReceived);
                let id = call.id.clone();
                let mut delivered = None;
                let reply = perform(call, &mut format, &engine, &mut delivered).await;
                let word = if reply.is_ok() { "success" } else { "error" };
                log(Level::Dbg, "unixctl", format_args!("replying with {word}, id={id}"));
                let text = match reply {
                    Ok(result) => json!({"id": id, "result": result, "error": null}),
                    Err(text) => json!({"id": id, "result": null, "error": line(text)}),
                };
                count(Happened::UnixctlReplied);
                if stream.write_all(text.to_string().as_bytes()).await.is_err() {
                    return;
                }
                drop(delivered);
            }
            Err(error) => {
                log(Level::Warn, "unixctl", error);
                return;
            }
        }
    }
}

fn line(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// `delivered` is to be dropped when the caller has the reply.
async fn perform(
    call: Call,
    format: &mut Format,
    engine: &ToEngine,
    delivered: &mut Option<mpsc::Sender<()>>,
) -> Result<Value, String> {
    let Call { method, params, id } = call;
    log(Level::Dbg, "unixctl", format_args!("received request {method}{params:?}, id={id}"));
    let command = commands::find(&method, params.len())?;
    let strings = params.into_iter().map(|value| match value {
        Value::String(text) => Ok(text),
        _ => Err(format!("\"{method}\" command has non-string argument")),
    });
    let params = strings.collect::<Result<Vec<String>, String>>()?;
    if command.name == "set-options" {
        *format = options(&params)?;
        return Ok(wrap(*format, String::new()));
    }
    if command.name == "list-commands" && *format == Format::Json {
        return Ok(commands::list_json());
    }
    if let Some(reply) = here(command, &params) {
        return reply.map(|text| wrap(*format, text));
    }
    let (reply, answer) = oneshot::channel();
    let request = Request { command: method, arguments: params, reply };
    engine.send(Message::Control(request)).map_err(|_| "the engine has ended".to_owned())?;
    let answer = answer.await.map_err(|_| "the engine has ended".to_owned())?;
    *delivered = answer.delivered;
    answer.reply.map(|text| wrap(*format, text))
}

/// A reply in the caller's format.
fn wrap(format: Format, text: String) -> Value {
    match format {
        Format::Text => Value::String(line(text)),
        Format::Json => json!({"reply-format": "plain", "reply": text}),
    }
}

/// `set-options --format text|json`.
fn options(arguments: &[String]) -> Result<Format, String> {
    let value = match arguments {
        [option, value] if option == "--format" => value.as_str(),
        [option] if option.starts_with("--format=") => &option["--format=".len()..],
        [option] if option == "--format" => return Err("option '--format' requires an argument".to_owned()),
        [option, ..] if option.starts_with("--") => return Err(format!("unrecognized option '{option}'")),
        _ => return Ok(Format::Text),
    };
    match value.to_ascii_lowercase().as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(format!("option format has invalid value {value}")),
    }
}

/// What needs no engine.
fn here(command: &Command, arguments: &[String]) -> Option<Reply> {
    let vlog = Log::process();
    Some(match command.name {
        "list-commands" => Ok(commands::list()),
        "version" => Ok(commands::version()),
        "vlog/list" => Ok(vlog.list()),
        "vlog/message" => {
            log(Level::Info, "vlog", format_args!("user-message: {}", arguments.first().map_or("", String::as_str)));
            Ok(String::new())
        }
        "vlog/set" if arguments.is_empty() => vlog.set("").map(|()| String::new()),
        "vlog/set" => arguments.iter().try_for_each(|spec| vlog.set(spec)).map(|()| String::new()),
        "vlog/reopen" => vlog.reopen().map(|()| String::new()),
        "vlog/list-pattern" => Ok(vlog.list_patterns()),
        "vlog/enable-rate-limit" => vlog.limit(arguments, true).map(|()| String::new()),
        "vlog/disable-rate-limit" => vlog.limit(arguments, false).map(|()| String::new()),
        "vlog/close" => {
            vlog.close();
            Ok(String::new())
        }
        _ => return None,
    })
}
