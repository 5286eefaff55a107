//! The socket end of the control interface: [`Listener`]. Commands about the log are answered here, the rest by the engine.

use anyhow::Context;
use ovsdb::frame::Framer;
use serde::Deserialize;
use serde_json::json;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::commands::{self, Command};
use super::{Reply, Request};
use crate::driver::{Message, ToEngine};
use crate::observe::{Level, Log, log};

/// The longest request.
const LIMIT: usize = 1 << 20;

/// A control socket that listens.
pub struct Listener {
    listener: StdListener,
}

#[derive(Deserialize)]
struct Call {
    id: serde_json::Value,
    method: String,
    #[serde(default)]
    params: Vec<String>,
}

impl Listener {
    /// Listens at `path`. A socket that a dead process left there is replaced.
    pub fn bind(path: &Path) -> anyhow::Result<Listener> {
        let context = || format!("cannot listen on control socket {}", path.display());
        if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
            fs::remove_file(path).with_context(context)?;
        }
        let listener = StdListener::bind(path).with_context(context)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o770)).with_context(context)?;
        listener.set_nonblocking(true).with_context(context)?;
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

/// One caller, command after command.
async fn serve(mut stream: UnixStream, engine: ToEngine) {
    let mut framer = Framer::new(LIMIT);
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
                let id = call.id.clone();
                // As unixctl.c does it: a text ends with a line feed.
                let reply = perform(call, &engine).await.map(line).map_err(line);
                let text = match reply {
                    Ok(text) => json!({"id": id, "result": text, "error": null}),
                    Err(text) => json!({"id": id, "result": null, "error": text}),
                };
                if stream.write_all(text.to_string().as_bytes()).await.is_err() {
                    return;
                }
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

async fn perform(call: Call, engine: &ToEngine) -> Reply {
    let Call { method, params, .. } = call;
    log(Level::Dbg, "unixctl", format_args!("received request {method}{params:?}"));
    let command = commands::find(&method, params.len())?;
    if let Some(reply) = here(command, &params) {
        return reply;
    }
    let (reply, answer) = oneshot::channel();
    let request = Request { command: method, arguments: params, reply };
    engine.send(Message::Control(request)).map_err(|_| "the engine has ended".to_owned())?;
    answer.await.map_err(|_| "the engine has ended".to_owned())?
}

/// What needs no engine.
fn here(command: &Command, arguments: &[String]) -> Option<Reply> {
    let vlog = Log::process();
    Some(match command.name {
        "list-commands" => Ok(commands::list()),
        "version" => Ok(commands::version()),
        "set-options" => set_options(arguments),
        "vlog/list" => Ok(vlog.list()),
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

/// Open vSwitch 3.4 and later ask for a format first. Only text is there.
fn set_options(arguments: &[String]) -> Reply {
    match arguments {
        [] => Ok(String::new()),
        [option, format] if option == "--format" && format == "text" => Ok(String::new()),
        _ => Err("only --format text is supported".to_owned()),
    }
}
