//! The command line: every program that the binary `fairway` can be. Arguments are resolved here once.

mod operator;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    agent, package, scorecard,
    telemetry::{self, logs},
};

/// Runs load balancers on Kubernetes, one small instance for each customer.
#[derive(Debug, Parser)]
#[command(name = "fairway", propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    program: Program,

    /// What is logged, as tracing's filters are written: info, or info,fairway=debug.
    #[arg(long, global = true, env = "FAIRWAY_LOG", default_value = "info")]
    log: String,

    /// How it is logged: json or text.
    #[arg(long, global = true, env = "FAIRWAY_LOG_FORMAT", default_value_t)]
    log_format: logs::Format,
}

/// What the binary can be.
#[derive(Debug, Subcommand)]
enum Program {
    /// Look after the cluster's load balancers.
    Operator(operator::Options),
    /// The half of an HAProxy pod that takes configurations and proves that they run.
    #[command(subcommand)]
    Agent(agent::Command),
    /// A test of scorecard: what the package claims of a capability level, tried on the cluster that it runs in.
    Scorecard(scorecard::Options),
    /// Write CRDs, roles, reference pages and the package for OLM from the code.
    Generate(GenerateOptions),
    /// Print the completions of a shell, to be sourced.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where generated files go.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
struct GenerateOptions {
    #[command(subcommand)]
    part: Option<GeneratePart>,
    /// The top of the repository.
    #[arg(long, default_value = ".")]
    top: PathBuf,
    /// Write nothing; fail when a file is not what would be written.
    #[arg(long)]
    check: bool,
    /// Write them for another version than this build's: the one that is being released.
    #[arg(long)]
    of: Option<String>,
}

/// What is not kept in the repository, since it names images by digest.
#[derive(Debug, Subcommand)]
enum GeneratePart {
    /// Write the package for OLM, with these images.
    Bundle {
        #[command(flatten)]
        folder: PackageFolder,
        #[command(flatten)]
        images: package::Images,
    },
    /// Write what a catalog says of the package besides its bundles, which `opm render` makes.
    Catalog {
        #[command(flatten)]
        folder: PackageFolder,
    },
}

/// What a part is made of, and where it goes.
#[derive(Debug, clap::Args)]
struct PackageFolder {
    /// The folder that is written.
    #[arg(long)]
    output: PathBuf,
    /// The releases and their channels.
    #[arg(long, default_value = "catalog/releases.yaml")]
    releases: PathBuf,
}

/// Runs what the arguments say, as this version; the exit code is 0 when it ended well.
#[must_use]
pub fn main(version: &'static str) -> ExitCode {
    let matches = Arguments::command().version(version).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(arguments, version) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "the last word of a program that failed")]
            {
                eprintln!("fairway: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments, version: &'static str) -> anyhow::Result<()> {
    let Arguments { program, log, log_format } = arguments;
    // Two TLS providers in one process would leave rustls to choose; there is one, and it is said here.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match program {
        Program::Generate(options) => Ok(generate(options, version)?),
        Program::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "fairway", &mut io::stdout());
            Ok(())
        }
        Program::Scorecard(options) => certify(options),
        Program::Operator(options) => served(log_format, &log, async { operator::run(options).await }),
        Program::Agent(command) => served(log_format, &log, async { Ok(command.run(version).await?) }),
    }
}

fn generate(options: GenerateOptions, version: &str) -> Result<(), package::GenerateError> {
    match options {
        GenerateOptions { part: None, top, check: false, of } => package::write(&top, of.as_deref().unwrap_or(version)),
        GenerateOptions { part: None, top, check: true, of } => package::check(&top, of.as_deref().unwrap_or(version)),
        GenerateOptions { part: Some(GeneratePart::Bundle { folder, images }), .. } => {
            package::write_bundle(&folder.output, version, &package::releases(&folder.releases)?, &images)
        }
        GenerateOptions { part: Some(GeneratePart::Catalog { folder }), .. } => {
            package::write_catalog(&folder.output, &package::releases(&folder.releases)?)
        }
    }
}

/// Runs a test of scorecard, which reads the pod's log: nothing but the result may stand there, so nothing is logged.
fn certify(options: scorecard::Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = serde_json::to_string_pretty(&runtime.block_on(scorecard::run(options)))?;
    writeln!(io::stdout(), "{result}")?;
    Ok(())
}

/// Runs a program that serves, with logs and traces around it.
fn served(format: logs::Format, filter: &str, program: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let telemetry = telemetry::start(format, filter)?;
        let result = program.await;
        if let Err(error) = &result {
            tracing::error!(error = format!("{error:#}"), "The program ends.");
        }
        tokio::task::spawn_blocking(|| telemetry.finish()).await?;
        result
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        super::Arguments::command().version("0.1.0").debug_assert();
    }
}
