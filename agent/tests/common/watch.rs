//! The databases as another client sees them: [`Client`] sends transactions over one connection, [`Watch`] looks at every change of
//! Interface rows and holds what must be so at any time.

use serde_json::{Deserializer, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use super::process::Server;

/// Type, remote address, local address of a tunnel; its key is `flow` always here.
pub type Tuple = (String, String, String);

/// A connection to a database.
pub struct Client {
    stream: UnixStream,
    replies: serde_json::StreamDeserializer<'static, serde_json::de::IoRead<BufReader<UnixStream>>, Value>,
    sent: u64,
}

impl Client {
    pub fn connect(server: &Server) -> Client {
        let remote = server.remote();
        let stream = UnixStream::connect(remote.trim_start_matches("unix:")).unwrap();
        let replies = Deserializer::from_reader(BufReader::new(stream.try_clone().unwrap())).into_iter();
        Client { stream, replies, sent: 0 }
    }

    /// Sends a request without waiting for its answer.
    pub fn send(&mut self, method: &str, params: Value) {
        self.sent += 1;
        let request = json!({"method": method, "params": params, "id": self.sent});
        self.stream.write_all(request.to_string().as_bytes()).unwrap();
    }

    /// The next message that is no question whether we are alive.
    pub fn receive(&mut self) -> Option<Value> {
        loop {
            let message = self.replies.next()?.ok()?;
            if message["method"] != "echo" {
                return Some(message);
            }
            let reply = json!({"result": message["params"], "error": null, "id": message["id"]});
            self.stream.write_all(reply.to_string().as_bytes()).ok()?;
        }
    }

    /// Sends a transaction and returns the results of its operations. An operation that is refused fails the test.
    pub fn transact(&mut self, database: &str, operations: Vec<Value>) -> Vec<Value> {
        let params: Vec<Value> = std::iter::once(json!(database)).chain(operations).collect();
        self.send("transact", Value::Array(params));
        let reply = self.receive().expect("an answer");
        let results = reply["result"].as_array().cloned().unwrap_or_default();
        assert!(results.iter().all(|result| result["error"].is_null()) && !results.is_empty(), "{reply}");
        results
    }
}

/// A tunnel interface.
#[derive(Clone, Debug)]
pub struct Tunnel {
    pub name: String,
    pub tuple: Tuple,
    pub ofport: Option<i64>,
    pub error: Option<String>,
}

impl Tunnel {
    /// The switch has it.
    pub fn works(&self) -> bool {
        self.error.is_none() && self.ofport.is_some_and(|ofport| (1..0xff00).contains(&ofport))
    }
}

/// What was seen of the tunnels.
#[derive(Default)]
pub struct Seen {
    pub tunnels: BTreeMap<String, Tunnel>,
    /// All that ever were.
    pub ever: BTreeSet<Tuple>,
    /// Two alike at one time, as text.
    pub duplicates: Vec<String>,
    /// The switch said no to it.
    pub refused: Vec<String>,
    /// The highest OpenFlow port of a tunnel.
    pub highest: i64,
    /// How often a row of a tunnel came, went or changed.
    pub changes: u64,
}

/// Watches the Interface rows of a hypervisor.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    stream: UnixStream,
}

impl Watch {
    pub fn start(server: &Server) -> Watch {
        let mut client = Client::connect(server);
        let columns = ["name", "type", "options", "ofport", "error"];
        client.send("monitor", json!(["Open_vSwitch", null, {"Interface": [{"columns": columns}]}]));
        let first = client.receive().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        seen.lock().unwrap().update(&first["result"]);
        let stream = client.stream.try_clone().unwrap();
        let shared = seen.clone();
        // Ends with the connection.
        std::thread::spawn(move || {
            while let Some(message) = client.receive() {
                shared.lock().unwrap().update(&message["params"][1]);
            }
        });
        Watch { seen, stream }
    }

    /// Looks at what was seen.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Seen {
    fn update(&mut self, update: &Value) {
        for (uuid, row) in update["Interface"].as_object().into_iter().flatten() {
            let new = tunnel(&row["new"]);
            if new.is_some() || self.tunnels.contains_key(uuid) {
                self.changes += 1;
            }
            match new {
                Some(tunnel) => {
                    self.ever.insert(tunnel.tuple.clone());
                    self.highest = self.highest.max(tunnel.ofport.unwrap_or(0));
                    if tunnel.error.is_some() || tunnel.ofport == Some(-1) {
                        self.refused.push(format!("{tunnel:?}"));
                    }
                    self.tunnels.insert(uuid.clone(), tunnel);
                }
                None => drop(self.tunnels.remove(uuid)),
            }
        }
        let mut tuples = BTreeSet::new();
        for tunnel in self.tunnels.values() {
            if !tuples.insert(&tunnel.tuple) {
                self.duplicates.push(format!("{tunnel:?}"));
            }
        }
    }
}

fn tunnel(row: &Value) -> Option<Tunnel> {
    let kind = row["type"].as_str().filter(|kind| ["geneve", "vxlan"].contains(kind))?;
    let options = row["options"][1].as_array()?;
    let option = |key: &str| {
        let pair = options.iter().find(|pair| pair[0] == key);
        pair.and_then(|pair| pair[1].as_str()).map(canonical).unwrap_or_default()
    };
    Some(Tunnel {
        name: row["name"].as_str()?.to_owned(),
        tuple: (kind.to_owned(), option("remote_ip"), option("local_ip")),
        ofport: row["ofport"].as_i64(),
        error: row["error"].as_str().map(str::to_owned),
    })
}

/// The usual spelling of an address.
pub fn canonical(text: &str) -> String {
    text.parse::<IpAddr>().map_or_else(|_| text.to_owned(), |address| address.to_string())
}
