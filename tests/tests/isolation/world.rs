//! The cluster, its tenants, and how they ask.

use super::ways::Outcome;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightClient, FlightDescriptor, FlightInfo, Ticket};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use prost::Message;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;
use tundra_tests::cluster::{FurtherNode, ProcessCluster, SMALL_PARTS, start_node, tundra};
use tundra_tests::http;
use tundra_tests::text;

/// Who may call the Admin API, and the control plane.
pub(crate) const OPERATOR: (&str, &str) = ("op", "open-up");
/// How long a decision may take to be acted on everywhere.
const PATIENCE: Duration = Duration::from_secs(30);
/// The rows of acme's table.
const ROWS: usize = 3137;

/// What a caller shows.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    pub(crate) authorization: Option<String>,
    /// The header `tenant`.
    pub(crate) tenant: Option<String>,
}

impl Shown {
    pub(crate) fn bearer(token: &str) -> Shown {
        Shown { authorization: Some(format!("Bearer {token}")), tenant: None }
    }

    pub(crate) fn basic(user: &str, password: &str) -> Shown {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        Shown { authorization: Some(format!("Basic {pair}")), tenant: None }
    }

    pub(crate) fn of_tenant(self, tenant: &str) -> Shown {
        Shown { tenant: Some(tenant.into()), ..self }
    }

    /// As lines of a request.
    pub(crate) fn lines(&self) -> String {
        let line = |name: &str, value: &Option<String>| {
            value.as_ref().map_or(String::new(), |value| format!("{name}: {value}\r\n"))
        };
        line("authorization", &self.authorization) + &line("tenant", &self.tenant)
    }
}

pub(crate) struct World {
    pub(crate) cluster: ProcessCluster,
    pub(crate) control: String,
    node: FurtherNode,
    folder: TempDir,
    pub(crate) acme_key: String,
    pub(crate) rival_key: String,
    pub(crate) acme: Shown,
    pub(crate) rival: Shown,
    /// A user of rival by an access token of the control plane.
    pub(crate) rival_token: String,
    pub(crate) acme_token: String,
}

pub(crate) fn code_of(error: FlightError) -> String {
    match error {
        FlightError::Tonic(status) => format!("{:?}: {}", status.code(), status.message()),
        other => format!("Client: {other}"),
    }
}

/// `tundra control` for a cluster, with its database in a folder.
pub(crate) async fn control_plane(data: &str, http: &[String]) -> (FurtherNode, String) {
    let operator = format!("{}:{}", OPERATOR.0, OPERATOR.1);
    let coordinators = http.join(",");
    let words = ["control", "--data", data, "--listen", "127.0.0.1:0", "--coordinators", &coordinators];
    let users = ["--coordinator-user", &operator, "--operator", &operator];
    let words: Vec<String> = words.into_iter().chain(users).map(str::to_string).collect();
    let mut node = start_node(&tundra().unwrap(), &words, false).unwrap();
    let url = node.ready("http=").await.unwrap();
    (node, url)
}

impl World {
    pub(crate) async fn start() -> World {
        let operator = format!("{}:{}", OPERATOR.0, OPERATOR.1);
        let further = ["--s3", "--users", &operator];
        let cluster = ProcessCluster::start(&[&SMALL_PARTS[..], &further].concat()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("control").display().to_string();
        let (node, control) = control_plane(&data, &cluster.http).await;
        let mut world = World {
            cluster,
            control,
            node,
            folder,
            acme_key: String::new(),
            rival_key: String::new(),
            acme: Shown::default(),
            rival: Shown::default(),
            rival_token: String::new(),
            acme_token: String::new(),
        };
        for tenant in ["acme", "rival"] {
            world.decide(&["tenant", "create", tenant, "--concurrency", "3"]).await;
        }
        world.acme_key = world.decide(&["tenant", "key", "create", "acme", "--user", "etl"]).await;
        world.rival_key = world.decide(&["tenant", "key", "create", "rival", "--user", "etl"]).await;
        world.acme_token = world.decide(&["tenant", "token", "acme", "--user", "ann"]).await;
        world.rival_token = world.decide(&["tenant", "token", "rival", "--user", "mallory"]).await;
        (world.acme, world.rival) = (Shown::bearer(&world.acme_key), Shown::bearer(&world.rival_key));
        for shown in [&world.acme, &world.rival, &Shown::bearer(&world.rival_token)] {
            for at in 0..3 {
                world.until(at, shown, "SELECT 1", |answer| answer.is_ok()).await;
            }
        }
        let values: Vec<String> =
            (0..ROWS).map(|i| format!("({i}, 'SESAME-{}', '{}')", i % 7, "x".repeat(20))).collect();
        for (shown, owner) in [(&world.acme, "acme"), (&world.rival, "rival")] {
            world.must(shown, &format!("CREATE TABLE item AS SELECT '{owner}' AS owner, 5 AS i")).await;
        }
        world.must(&world.acme, "CREATE TABLE vault_qx (i INTEGER, ingot_qx VARCHAR, filler VARCHAR)").await;
        world.must(&world.acme, &format!("INSERT INTO vault_qx VALUES {}", values.join(","))).await;
        world.must(&world.acme, "CREATE SCHEMA closet_qx").await;
        world.must(&world.acme, "CREATE VIEW sight_qx AS SELECT 'SESAME' AS ingot_qx").await;
        world.must(&world.acme, "CREATE MACRO magic_qx(a) AS a || 'SESAME'").await;
        world.must(&world.acme, "CREATE TABLE closet_qx.coat AS SELECT 'SESAME' AS ingot_qx").await;
        world.must(&world.acme, "CREATE TABLE empty_qx (ingot_qx INTEGER)").await;
        world
    }

    /// A command of the control plane's operator, and what it prints.
    pub(crate) async fn decide(&self, words: &[&str]) -> String {
        let mut command = Command::new(tundra().unwrap());
        command.args(words).env("TUNDRA_CONTROL_URL", &self.control);
        command.env("TUNDRA_CONTROL_OPERATOR", format!("{}:{}", OPERATOR.0, OPERATOR.1));
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    pub(crate) async fn client(&self, at: usize, shown: &Shown) -> FlightClient {
        let address = &self.cluster.coordinators[at % self.cluster.coordinators.len()];
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = FlightClient::new(endpoint.connect().await.unwrap());
        for (name, value) in [("authorization", &shown.authorization), ("tenant", &shown.tenant)] {
            if let Some(value) = value {
                client.add_header(name, value).unwrap();
            }
        }
        client
    }

    /// What a statement gives, at the first coordinator.
    pub(crate) async fn ask(&self, shown: &Shown, sql: &str) -> Outcome {
        self.ask_at(0, shown, sql).await
    }

    pub(crate) async fn ask_at(&self, at: usize, shown: &Shown, sql: &str) -> Outcome {
        let mut client = self.client(at, shown).await;
        let info = plan(&mut client, sql).await?;
        fetch(&mut client, ticket_of(&info)).await
    }

    /// As the owner of what is reached for.
    pub(crate) async fn owner(&self, sql: &str) -> Outcome {
        self.ask(&self.acme, sql).await
    }

    pub(crate) async fn must(&self, shown: &Shown, sql: &str) -> String {
        self.ask(shown, sql).await.unwrap_or_else(|why| panic!("{sql:.200}: {why}"))
    }

    /// Waits until a statement is answered as it is to be.
    pub(crate) async fn until(&self, at: usize, shown: &Shown, sql: &str, wanted: impl Fn(&Outcome) -> bool) {
        let begun = Instant::now();
        loop {
            let answer = self.ask_at(at, shown, sql).await;
            if wanted(&answer) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{sql}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Status and body of a request to a coordinator's HTTP.
    pub(crate) async fn http(&self, shown: &Shown, method: &str, path: &str, body: &str) -> (u16, String) {
        let address = self.cluster.http[0].trim_start_matches("http://");
        http::request(address, method, path, &shown.lines(), body).await.unwrap()
    }

    /// The same of the control plane.
    pub(crate) async fn http_of_control(
        &self,
        shown: &Shown,
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let address = self.control.trim_start_matches("http://");
        http::request(address, method, path, &shown.lines(), body).await.unwrap()
    }

    /// The folder in which the S3 server keeps the bucket.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.cluster.data().join("s3/tundra")
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) async fn stop(self) {
        self.node.end().await.unwrap();
        self.cluster.stop().await.unwrap();
    }
}

pub(crate) async fn plan(client: &mut FlightClient, sql: &str) -> Result<FlightInfo, String> {
    let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
    describe(client, &command).await
}

/// What GetFlightInfo says to a command.
pub(crate) async fn describe(
    client: &mut FlightClient,
    command: &impl ProstMessageExt,
) -> Result<FlightInfo, String> {
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    client.get_flight_info(descriptor).await.map_err(code_of)
}

pub(crate) fn ticket_of(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

/// The rows behind a ticket as text.
pub(crate) async fn fetch(client: &mut FlightClient, ticket: Ticket) -> Outcome {
    let stream = client.do_get(ticket).await.map_err(code_of)?;
    let batches: Vec<_> = stream.try_collect().await.map_err(code_of)?;
    let rows = text::rows(&batches).map_err(|why| why.to_string())?;
    Ok(rows.iter().map(|row| row.join("|")).collect::<Vec<_>>().join("\n"))
}
