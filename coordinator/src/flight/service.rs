//! The calls of Flight SQL.

use super::actions::{
    CloseSessionResult, GetSessionOptionsResult, OptionError, OptionFault, OptionValue,
    PREPARED_STATEMENT_RESULT, PreparedStatementResult, SESSION_CLOSED, SetSessionOptionsRequest,
    SetSessionOptionsResult,
};
use super::auth::Sessions;
use super::prepared::PreparedStatements;
use super::sql_info::SQL_INFO;
use super::statements::Statements;
use super::status::internal;
use super::tickets::{Tickets, bad_ticket};
use super::type_info::TYPE_INFO;
use super::{DataStream, encode_batch, encode_rows, metadata, parameters};
use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::session::Session;
use crate::view::View;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest,
    ActionCancelQueryResult, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Any,
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate,
    CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, BasicAuth, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor,
    FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc, Ticket,
};
use columnar::Value;
use columnar::arrow::Strings;
use flight_proto::Message;
use flight_proto::trace::TraceParent;
use futures::{StreamExt, stream};
use std::sync::Arc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};
use tracing::Span;

/// The state behind the calls.
#[derive(Clone)]
pub(super) struct Service {
    sessions: Arc<Sessions>,
    statements: Arc<Statements>,
    prepared: Arc<PreparedStatements>,
    tickets: Arc<Tickets>,
}

type HandshakeStream =
    std::pin::Pin<Box<dyn futures::Stream<Item = Result<HandshakeResponse, Status>> + Send>>;

impl Service {
    pub(super) fn new(coordinator: Arc<Coordinator>) -> crate::error::Result<Service> {
        let sessions = Arc::new(Sessions::new(coordinator));
        let (statements, prepared) = (Arc::default(), Arc::default());
        let tickets = Arc::new(Tickets::new()?);
        Ok(Service { sessions, statements, prepared, tickets })
    }

    /// The session of a call; an error where who calls may not.
    pub(super) fn session<T>(&self, request: &Request<T>) -> Result<Session, Status> {
        let session = self.sessions.of(request)?;
        let call = Span::current();
        call.record("tenant", session.tenant());
        call.record("principal", session.principal());
        Ok(session)
    }

    /// The span that a ticket is fetched below, where the client sends none: that of the call that gave it.
    pub(super) fn asked_by<T>(&self, request: &Request<T>, ticket: &Ticket) -> Option<TraceParent> {
        let any = Any::decode(&*ticket.ticket).ok()?;
        let statement = any.unpack::<TicketStatementQuery>().ok().flatten()?;
        self.statements.asked_by(self.statement_id(request, &statement).ok()?)
    }

    async fn view<T>(&self, request: &Request<T>) -> Result<Arc<View>, Status> {
        Ok(self.session(request)?.current_view().await?)
    }

    /// Where to fetch the answer to a metadata command: the command is the ticket.
    fn described(
        &self,
        command: &impl ProstMessageExt,
        schema: &Schema,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.session(&request)?;
        let ticket = Ticket::new(command.as_any().encode_to_vec());
        info(ticket, schema, request.into_inner())
    }

    /// Plans a statement and gives a ticket for its one run.
    async fn opened(
        &self,
        session: Session,
        sql: &str,
        bound: Vec<Vec<Value>>,
        descriptor: FlightDescriptor,
    ) -> Result<Response<FlightInfo>, Status> {
        let (id, schema) = self.statements.open(session.clone(), sql, bound).await?;
        let handle = self.tickets.statement(&session, id);
        let statement = TicketStatementQuery { statement_handle: handle.into() };
        info(Ticket::new(statement.as_any().encode_to_vec()), &schema, descriptor)
    }

    /// Runs a statement for its effect; returns how many rows it wrote.
    async fn updated(&self, session: Session, sql: &str, bound: Vec<Vec<Value>>) -> Result<i64, Status> {
        let (id, _) = self.statements.open(session, sql, bound).await?;
        let rows = self.statements.redeem(id).await;
        // Nobody has its ticket.
        self.statements.close(id);
        let mut rows = rows?;
        let affected = rows.affected();
        // A query by way of an update is run for its errors.
        while let Some(batch) = rows.next().await {
            batch?;
        }
        Ok(affected.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX)))
    }

    pub(super) async fn create_prepared(&self, request: &Request<Action>) -> Result<Vec<u8>, Status> {
        let session = self.session(request)?;
        let malformed = |_| Status::invalid_argument("the request to prepare a statement is malformed");
        let any = Any::decode(&*request.get_ref().body).map_err(malformed)?;
        let command: ActionCreatePreparedStatementRequest = any
            .unpack()
            .ok()
            .flatten()
            .ok_or_else(|| Status::invalid_argument("the request to prepare a statement is malformed"))?;
        refuse_transaction(command.transaction_id.as_deref())?;
        let outline = session.outline(&command.query).await?;
        let parameters = outline.parameters.iter().enumerate();
        let names: Vec<_> = parameters.map(|(index, of)| (format!("${}", index + 1), *of)).collect();
        let columns = names.iter().map(|(name, of)| (name.as_str(), *of, true));
        let parameter_schema = columnar::arrow::schema(columns, Strings::Offsets);
        let is_update = outline.changes;
        let dataset_schema = if is_update { Arc::new(Schema::empty()) } else { outline.schema.clone() };
        let handle = self.prepared.open(session.clone(), &command.query, outline)?;
        let result = PreparedStatementResult {
            handle: self.tickets.prepared(&session, handle).into(),
            dataset_schema: ipc_schema(&dataset_schema)?,
            parameter_schema: ipc_schema(&parameter_schema)?,
            is_update: Some(is_update),
        };
        let value = result.encode_to_vec().into();
        Ok(Any { type_url: PREPARED_STATEMENT_RESULT.into(), value }.encode_to_vec())
    }

    pub(super) fn set_session_options(&self, request: &Request<Action>) -> Result<Vec<u8>, Status> {
        let session = self.session(request)?;
        let options = SetSessionOptionsRequest::decode(&*request.get_ref().body)
            .map_err(|_| Status::invalid_argument("the session options are malformed"))?;
        let mut result = SetSessionOptionsResult::default();
        for (name, value) in options.options {
            let text = value.to_text();
            let fault = match name.as_str() {
                "catalog" if text.as_deref() == Some(session.tenant()) => None,
                "schema" if text.as_deref() == Some(crate::catalog::DEFAULT_SCHEMA) => None,
                "catalog" | "schema" => Some(OptionFault::InvalidValue),
                _ => match session.set(&name, text.as_deref()) {
                    Ok(()) => None,
                    Err(_) if session.show(&name).is_err() => Some(OptionFault::InvalidName),
                    Err(_) => Some(OptionFault::InvalidValue),
                },
            };
            if let Some(fault) = fault {
                result.errors.insert(name, OptionError { value: fault.into() });
            }
        }
        Ok(result.encode_to_vec())
    }

    pub(super) fn get_session_options(&self, request: &Request<Action>) -> Result<Vec<u8>, Status> {
        let session = self.session(request)?;
        let settings = session.settings()?;
        let mut result = GetSessionOptionsResult::default();
        result.options.insert("catalog".into(), OptionValue::text(session.tenant()));
        result.options.insert("schema".into(), OptionValue::text(crate::catalog::DEFAULT_SCHEMA));
        let settings = settings.into_iter().map(|(name, value)| (name, OptionValue::text(value)));
        result.options.extend(settings);
        Ok(result.encode_to_vec())
    }

    pub(super) fn close_session(&self, request: &Request<Action>) -> Result<Vec<u8>, Status> {
        self.sessions.close(request)?;
        Ok(CloseSessionResult { status: SESSION_CLOSED }.encode_to_vec())
    }

    pub(super) fn cancel_flight_info(&self, request: &Request<Action>) -> Result<Vec<u8>, Status> {
        self.session(request)?;
        let command = CancelFlightInfoRequest::decode(&*request.get_ref().body)
            .map_err(|_| Status::invalid_argument("the request to cancel is malformed"))?;
        let info = command.info.ok_or_else(|| Status::invalid_argument("there is nothing to cancel"))?;
        let status = match self.cancel(request, &info)? {
            true => CancelStatus::Cancelled,
            false => CancelStatus::NotCancellable,
        };
        Ok(CancelFlightInfoResult::new(status).encode_to_vec())
    }

    /// Ends the statements behind the tickets of `info`; whether there was one.
    fn cancel<T>(&self, request: &Request<T>, info: &FlightInfo) -> Result<bool, Status> {
        let mut cancelled = false;
        for endpoint in &info.endpoint {
            let Some(ticket) = &endpoint.ticket else { continue };
            let any = Any::decode(&*ticket.ticket).ok();
            let statement = any.and_then(|any| any.unpack::<TicketStatementQuery>().ok().flatten());
            if let Some(statement) = statement {
                cancelled |= self.statements.cancel(self.statement_id(request, &statement)?);
            }
        }
        Ok(cancelled)
    }

    /// The statement of a ticket that the caller may use.
    fn statement_id<T>(
        &self,
        request: &Request<T>,
        statement: &TicketStatementQuery,
    ) -> crate::error::Result<u128> {
        let ticket = self.tickets.read(&statement.statement_handle)?;
        self.sessions.check_owner(request, &ticket)?;
        let id = ticket.statement_id().map_err(bad_ticket)?;
        self.check_same(request, self.statements.session_of(id))?;
        Ok(id)
    }

    /// The prepared statement of a handle that the caller may use.
    fn prepared_handle<T>(&self, request: &Request<T>, handle: &[u8]) -> crate::error::Result<u128> {
        let ticket = self.tickets.read(handle)?;
        self.sessions.check_owner(request, &ticket)?;
        let handle = ticket.prepared_handle().map_err(bad_ticket)?;
        self.check_same(request, self.prepared.get(handle).ok().map(|prepared| prepared.session))?;
        Ok(handle)
    }

    /// What a session began runs with its rights: nobody goes on with it who has logged in with others.
    fn check_same<T>(&self, request: &Request<T>, began: Option<Session>) -> crate::error::Result<()> {
        let caller = self.sessions.of(request)?;
        match began.is_none_or(|began| began.is_as(&caller)) {
            true => Ok(()),
            false => Err(Error::Denied(
                "this was begun by a login with other roles; run the statement in this one".into(),
            )),
        }
    }
}

fn refuse_transaction(id: Option<&[u8]>) -> Result<(), Status> {
    match id {
        None | Some([]) => Ok(()),
        Some(_) => Err(Error::Unsupported("a transaction".into()).into()),
    }
}

fn info(
    ticket: Ticket,
    schema: &Schema,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(internal)?
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
        .with_descriptor(descriptor);
    Ok(Response::new(info))
}

fn ipc_schema(schema: &Schema) -> Result<bytes::Bytes, Status> {
    let message: IpcMessage =
        SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(internal)?;
    Ok(message.0)
}

fn batch(batch: Result<RecordBatch, Status>) -> Result<Response<DataStream>, Status> {
    Ok(Response::new(encode_batch(batch?)))
}

/// A table of that schema without rows.
fn nothing(schema: SchemaRef) -> Result<Response<DataStream>, Status> {
    batch(Ok(RecordBatch::new_empty(schema)))
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Service;

    async fn do_handshake(
        &self,
        mut request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<HandshakeStream>, Status> {
        // Older clients send the password in the payload rather than in a header.
        let payload = match request.metadata().contains_key("authorization") {
            true => None,
            false => {
                let first = request.get_mut().message().await?;
                let basic = first.and_then(|first| BasicAuth::decode(first.payload).ok());
                basic.filter(|basic| !basic.username.is_empty())
            }
        };
        let payload = payload.map(|basic| (basic.username, basic.password));
        let token = self.sessions.log_in(request.metadata(), payload)?;
        let bearer = MetadataValue::try_from(format!("Bearer {token}")).map_err(internal)?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
        let stream: HandshakeStream = Box::pin(stream::iter([Ok(answer)]));
        let mut response = Response::new(stream);
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        command: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let session = self.session(&request)?;
        refuse_transaction(command.transaction_id.as_deref())?;
        self.opened(session, &command.query, Vec::new(), request.into_inner()).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let handle = self.prepared_handle(&request, &command.prepared_statement_handle)?;
        let prepared = self.prepared.get(handle)?;
        let descriptor = request.into_inner();
        if prepared.bound.is_empty() && !prepared.outline.parameters.is_empty() {
            // Some clients ask for the schema before they bind; the run is refused if they never do.
            let ticket = Ticket::new(command.as_any().encode_to_vec());
            return info(ticket, &prepared.outline.schema, descriptor);
        }
        self.opened(prepared.session, &prepared.sql, prepared.bound, descriptor).await
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        let rows = self.statements.redeem(self.statement_id(&request, &ticket)?).await?;
        Ok(Response::new(encode_rows(rows)))
    }

    async fn do_get_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        let handle = self.prepared_handle(&request, &command.prepared_statement_handle)?;
        let prepared = self.prepared.get(handle)?;
        let (id, _) = self.statements.open(prepared.session, &prepared.sql, prepared.bound).await?;
        Ok(Response::new(encode_rows(self.statements.redeem(id).await?)))
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let session = self.session(&request)?;
        refuse_transaction(command.transaction_id.as_deref())?;
        self.updated(session, &command.query, Vec::new()).await
    }

    async fn do_put_prepared_statement_query(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let handle = self.prepared_handle(&request, &command.prepared_statement_handle)?;
        let rows = parameters::read(request.into_inner()).await?;
        self.prepared.bind(handle, rows)?;
        let handle = Some(command.prepared_statement_handle);
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: handle })
    }

    async fn do_put_prepared_statement_update(
        &self,
        command: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let handle = self.prepared_handle(&request, &command.prepared_statement_handle)?;
        let rows = parameters::read(request.into_inner()).await?;
        if !rows.is_empty() {
            self.prepared.bind(handle, rows)?;
        }
        let prepared = self.prepared.get(handle)?;
        self.updated(prepared.session, &prepared.sql, prepared.bound).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        command: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.prepared.close(self.prepared_handle(&request, &command.prepared_statement_handle)?);
        Ok(())
    }

    async fn do_action_begin_transaction(
        &self,
        _: ActionBeginTransactionRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        Err(Error::Unsupported("a transaction".into()).into())
    }

    async fn do_action_cancel_query(
        &self,
        command: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        self.session(&request)?;
        let info = FlightInfo::decode(command.info)
            .map_err(|_| Status::invalid_argument("the request to cancel is malformed"))?;
        // 1: cancelled; 3: not cancellable.
        let result = if self.cancel(&request, &info)? { 1 } else { 3 };
        Ok(ActionCancelQueryResult { result })
    }

    async fn get_flight_info_catalogs(
        &self,
        command: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = command.into_builder().schema();
        self.described(&command, &schema, request)
    }

    async fn do_get_catalogs(
        &self,
        _: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        batch(metadata::catalogs(&*self.view(&request).await?))
    }

    async fn get_flight_info_schemas(
        &self,
        command: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = command.clone().into_builder().schema();
        self.described(&command, &schema, request)
    }

    async fn do_get_schemas(
        &self,
        command: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        let session = self.session(&request)?;
        let view = session.current_view().await?;
        batch(metadata::schemas(&view, &session.rights()?, command))
    }

    async fn get_flight_info_tables(
        &self,
        command: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = command.clone().into_builder().schema();
        self.described(&command, &schema, request)
    }

    async fn do_get_tables(
        &self,
        command: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        let session = self.session(&request)?;
        let view = session.current_view().await?;
        batch(metadata::tables(&view, &session.rights()?, command))
    }

    async fn get_flight_info_table_types(
        &self,
        command: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = command.into_builder().schema();
        self.described(&command, &schema, request)
    }

    async fn do_get_table_types(
        &self,
        _: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        self.session(&request)?;
        batch(metadata::table_types())
    }

    async fn get_flight_info_sql_info(
        &self,
        command: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = arrow_flight::sql::metadata::SqlInfoDataBuilder::schema();
        self.described(&command, schema, request)
    }

    async fn do_get_sql_info(
        &self,
        command: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        self.session(&request)?;
        let data = SQL_INFO.as_ref().ok_or_else(|| internal("there is no list of SQL infos"))?;
        batch(command.into_builder(data).build().map_err(internal))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        command: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let data = TYPE_INFO.as_ref().ok_or_else(|| internal("there is no list of types"))?;
        self.described(&command, &data.schema(), request)
    }

    async fn do_get_xdbc_type_info(
        &self,
        command: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        self.session(&request)?;
        let data = TYPE_INFO.as_ref().ok_or_else(|| internal("there is no list of types"))?;
        batch(command.into_builder(data).build().map_err(internal))
    }

    async fn get_flight_info_primary_keys(
        &self,
        command: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.described(&command, &metadata::primary_keys_schema(), request)
    }

    async fn do_get_primary_keys(
        &self,
        _: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        self.session(&request)?;
        nothing(metadata::primary_keys_schema())
    }

    async fn get_flight_info_exported_keys(
        &self,
        command: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.described(&command, &metadata::foreign_keys_schema(), request)
    }

    async fn do_get_exported_keys(
        &self,
        _: CommandGetExportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        self.session(&request)?;
        nothing(metadata::foreign_keys_schema())
    }

    async fn get_flight_info_imported_keys(
        &self,
        command: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.described(&command, &metadata::foreign_keys_schema(), request)
    }

    async fn do_get_imported_keys(
        &self,
        _: CommandGetImportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        self.session(&request)?;
        nothing(metadata::foreign_keys_schema())
    }

    async fn get_flight_info_cross_reference(
        &self,
        command: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.described(&command, &metadata::foreign_keys_schema(), request)
    }

    async fn do_get_cross_reference(
        &self,
        _: CommandGetCrossReference,
        request: Request<Ticket>,
    ) -> Result<Response<DataStream>, Status> {
        self.session(&request)?;
        nothing(metadata::foreign_keys_schema())
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
