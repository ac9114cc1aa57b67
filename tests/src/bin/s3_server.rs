//! An S3 server with faults for tests, as a process.

use clap::Parser;
use s3::REGION;
use std::path::PathBuf;
use std::process::ExitCode;
use tundra_tests::connection::Failure;
use tundra_tests::s3::{ACCESS_KEY, S3Server, SECRET_KEY};

/// Serve a folder as S3, with conditional puts; for tests only.
#[derive(Parser)]
#[command(after_help = help())]
struct Options {
    /// Folder of the objects, a folder in it for each bucket
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Address to serve on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// Bucket that is made unless it is there
    #[arg(long, value_name = "NAME", default_value = "bucket")]
    bucket: String,
}

fn help() -> String {
    format!(
        "Clients are started with\n  AWS_ENDPOINT=http://HOST:PORT AWS_ALLOW_HTTP=true AWS_REGION={REGION}\n  \
         AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY}\n\n\
         Faults (of a hundred requests so many; what is left out does not happen):\n  \
         curl -X PUT 'http://HOST:PORT/_faults?slow_down=30&lost_replies=5&delay_ms=20&down=true'"
    )
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Failure> {
    let server = S3Server::start_in(&options.root, &options.listen, &options.bucket).await?;
    announce(&server);
    server.run().await;
    Ok(())
}

/// The line that says where clients find the server.
#[allow(clippy::print_stdout)]
fn announce(server: &S3Server) {
    println!("s3 ready url={}", server.url());
}

#[allow(clippy::print_stderr)]
fn complain(failure: &Failure) {
    eprintln!("error: {failure}");
}
