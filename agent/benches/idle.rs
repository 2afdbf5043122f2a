//! What an agent costs its machine: memory and CPU while it is connected, beats each second and runs twenty checks.
//! `cargo bench --workspace --bench idle`

use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rollcall_xds::proto::rollcall::v1::agent_reply::Reply;
use rollcall_xds::proto::rollcall::v1::agent_report::Report;
use rollcall_xds::proto::rollcall::v1::agents_server::{Agents, AgentsServer};
use rollcall_xds::proto::rollcall::v1::answer::State;
use rollcall_xds::proto::rollcall::v1::{AgentReply, AgentReport, Answer, Answers};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Checks on the machine, each every ten seconds.
const CHECKS: usize = 20;
/// How long it is looked at, after it has come to rest.
const LOOK: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_secs(10);

/// A controller that says yes.
struct Yes;

#[tonic::async_trait]
impl Agents for Yes {
    type AttendStream = ReceiverStream<Result<AgentReply, Status>>;

    async fn attend(&self, request: Request<Streaming<AgentReport>>) -> Result<Response<Self::AttendStream>, Status> {
        let mut reports = request.into_inner();
        let (replies, outgoing) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Ok(Some(report)) = reports.message().await {
                let Some(Report::Hello(hello)) = report.report else { continue };
                let answer = Answer { instance: 0, state: State::Registered.into(), words: "orders-1".into() };
                let answers = Answers { revision: hello.revision, answers: vec![answer] };
                if replies.send(Ok(AgentReply { reply: Some(Reply::Answers(answers)) })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let controller = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (there, checked) = (controller.local_addr().expect("its address"), target.local_addr().expect("its address"));
    let router = tonic::transport::Server::builder().add_service(AgentsServer::new(Yes));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(controller)));
    tokio::spawn(async move { while target.accept().await.is_ok() {} });

    let folder = std::env::temp_dir().join(format!("rollcall-agent-bench-{}", std::process::id()));
    write_files(&folder, &format!("http://{there}"), &checked.to_string()).expect("its files");
    let config = folder.join("agent.toml");
    let agent = Command::new(env!("CARGO_BIN_EXE_rollcall-agent")).args(["run", "--config"]).arg(&config).spawn();
    let agent = Agent(agent.expect("the agent"));
    let pid = agent.0.id();
    tokio::time::sleep(REST).await;
    let before = cpu_s(pid);
    tokio::time::sleep(LOOK).await;
    let share = (cpu_s(pid) - before) / LOOK.as_secs_f64() * 100.0;
    println!(
        "an agent with {CHECKS} checks, a beat each second: {:.1} MB (aim: 10), {share:.2} % of a core (aim: 0.10)",
        resident_mb(pid)
    );
    drop(agent);
    let _ = std::fs::remove_dir_all(&folder);
}

fn write_files(folder: &Path, controller: &str, target: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut text = format!(
        "machine = \"vm-1\"\ncontrollers = [\"{controller}\"]\nsocket = \"sock\"\nstate_file = \"state\"\nlog_level = \"warn\"\n\
         [[service]]\nservice = \"orders\"\nnamespace = \"shop\"\naddresses = [\"192.0.2.1\"]\nports = 80\n\
         heartbeat = {{ interval = \"1s\", ttl = \"5s\" }}\n"
    );
    for check in 0..CHECKS {
        // Writing to a String does not fail.
        let _ =
            writeln!(text, "[[service.local_check]]\nname = \"port-{check}\"\ntcp = \"{target}\"\ninterval = \"10s\"");
    }
    std::fs::write(folder.join("agent.toml"), text)
}

/// `VmRSS`, proc(5).
fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0 / 1e6
}

/// Seconds that it was on a CPU: `utime` and `stime`, in ticks of 10 ms, proc(5).
fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    (fields[11].parse::<f64>().expect("utime") + fields[12].parse::<f64>().expect("stime")) / 100.0
}
