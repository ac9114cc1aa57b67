//! Statements that change something: tables, schemas and servers come and go, rows are added.

use super::{Call, Session};
use crate::access::Rights;
use crate::datasets::to_the_end;
use crate::error::{Error, Result};
use crate::progress::Stage;
use crate::result::Rows;
use crate::view::View;
use crate::write::collect_parquet;
use planner::{Define, Statement};
use std::sync::Arc;

impl Session {
    /// Runs a statement that changes something. Its query ends with the client; the change itself does not.
    pub(super) async fn change(
        &self,
        statement: &Arc<Statement>,
        view: &Arc<View>,
        rights: &Rights,
        call: &Call,
    ) -> Result<Rows> {
        let (datasets, owner) = (self.tenant.datasets.clone(), rights.owner().to_string());
        self.need_shards_to_change(statement, call)?;
        call.listed.progress().comes_to(Stage::Running);
        match &**statement {
            Statement::CreateTableAs { name, if_not_exists, columns, query } => {
                if !datasets.check_creatable(name, *if_not_exists, columns)? {
                    return Rows::written(0);
                }
                let mut started = self.start(query, view, call).await?;
                let files = collect_parquet(&mut started.running, columns).await?;
                drop(started);
                self.check_resident(files.iter().map(|file| file.len() as u64).sum())?;
                call.account.add_files(&files);
                // The schema may be another by now, and rights may have changed.
                self.rights()?.check(statement, None)?;
                let (name, if_not_exists, columns) = (name.clone(), *if_not_exists, columns.clone());
                let create = async move {
                    datasets.create_managed(&name, if_not_exists, columns, files, &owner).await
                };
                Rows::written(to_the_end(create).await?.unwrap_or(0))
            }
            Statement::Insert { table, query, .. } => {
                datasets.check_writable(table, "INSERT into")?;
                let mut started = self.start(query, view, call).await?;
                let files = collect_parquet(&mut started.running, &table.columns).await?;
                drop(started);
                self.check_resident(files.iter().map(|file| file.len() as u64).sum())?;
                call.account.add_files(&files);
                let table = table.clone();
                Rows::written(to_the_end(async move { datasets.append(&table, files).await }).await?)
            }
            Statement::CreateForeignTable(create) => {
                let foreign = &self.coordinator.foreign;
                let asked = datasets.describe_foreign(foreign, create, &call.cancel);
                let Some(create) = self.in_time(call, asked).await? else { return Ok(Rows::changed()) };
                to_the_end(async move { datasets.create_foreign(create, &owner).await }).await?;
                Ok(Rows::changed())
            }
            Statement::ImportForeignSchema(import) => {
                let foreign = &self.coordinator.foreign;
                let asked = datasets.describe_schema(foreign, import, &call.cancel);
                let create = self.in_time(call, asked).await?;
                to_the_end(async move { datasets.create_foreign(create, &owner).await }).await?;
                Ok(Rows::changed())
            }
            _ => {
                let _turn = self.turn_to_define(call).await?;
                if matches!(**statement, Statement::CreateExternalTable(_) | Statement::RefreshTable { .. }) {
                    self.check_resident(0)?;
                }
                self.rights()?.check(statement, None)?;
                to_the_end(define(self.clone(), statement.clone(), owner)).await?;
                Ok(Rows::changed())
            }
        }
    }
}

/// Runs a statement that defines or removes something.
async fn define(session: Session, statement: Arc<Statement>, owner: String) -> Result<()> {
    let (coordinator, datasets) = (&session.coordinator, &session.tenant.datasets);
    let refreshes = &coordinator.refreshes;
    // A table that has a name by the time it is dropped may be another's.
    let may_drop = |dataset: u64| session.rights()?.check_drop_dataset(dataset);
    match &*statement {
        Statement::CreateExternalTable(create) => datasets.create_external(create, &owner).await,
        Statement::CreateTable { name, if_not_exists, columns } => {
            let (columns, files) = (columns.clone(), Vec::new());
            datasets.create_managed(name, *if_not_exists, columns, files, &owner).await.map(drop)
        }
        Statement::DropTable { names, if_exists, cascade } => {
            for name in names {
                datasets.drop_table(name, *if_exists, *cascade, &may_drop).await?;
            }
            Ok(())
        }
        Statement::CreateSchema { name, if_not_exists } => {
            datasets.create_schema(name, *if_not_exists, &owner).await
        }
        Statement::DropSchema { name, if_exists, cascade } => {
            let may_drop_schema = || session.rights()?.check(&statement, None);
            datasets.drop_schema(name, *if_exists, *cascade, &may_drop, &may_drop_schema).await
        }
        Statement::CreateServer(create) => datasets.create_server(&coordinator.foreign, create, &owner).await,
        Statement::DropServer { name, if_exists, cascade } => {
            datasets.drop_server(name, *if_exists, *cascade).await
        }
        Statement::DropForeignTable { names, if_exists, cascade } => {
            for name in names {
                session.rights()?.check(&statement, None)?;
                datasets.drop_foreign(name, *if_exists, *cascade).await?;
            }
            Ok(())
        }
        Statement::Define(define) => {
            let may = || session.rights()?.check(&statement, None);
            match define {
                Define::View(create) => datasets.create_view(create, &owner, &may).await,
                Define::Macro(create) => datasets.create_macro(create, &owner, &may).await,
                Define::Type(create) => datasets.create_type(create, &owner, &may).await,
                Define::Comment(comment) => datasets.set_comment(comment).await,
                Define::Drop { kind, names, if_exists, cascade } => {
                    for name in names {
                        datasets.drop_definition(*kind, name, *if_exists, *cascade, &may).await?;
                    }
                    Ok(())
                }
            }
        }
        Statement::Truncate { tables } => {
            // All or none, as far as that is known beforehand.
            tables.iter().try_for_each(|table| datasets.check_writable(table, "TRUNCATE of"))?;
            for table in tables {
                datasets.truncate(table).await?;
            }
            Ok(())
        }
        Statement::RefreshTable { table } => refreshes.by_statement(table).await,
        Statement::AlterTable { table, refresh } => datasets.set_refresh(table, refresh).await,
        other => Err(Error::Internal(format!("a statement that defines nothing: {other:?}"))),
    }
}
