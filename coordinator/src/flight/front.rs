//! Plain Flight around Flight SQL: what arrow-flight's own adapter refuses (GetSchema, PollFlightInfo,
//! ListFlights) or has no messages for (session actions, `is_update`). Everything else passes through.

use super::actions::{
    CANCEL_FLIGHT_INFO, CLOSE_SESSION, CREATE_PREPARED_STATEMENT, GET_SESSION_OPTIONS, SET_SESSION_OPTIONS,
};
use super::service::Service;
use crate::trace::{answered, of_call, sent_by_client};
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use flight_proto::trace;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

/// The service as the server sees it.
pub(super) struct Front {
    service: Service,
}

impl Front {
    pub(super) fn new(service: Service) -> Front {
        Front { service }
    }

    async fn act(&self, request: Request<Action>) -> Answer<Stream<arrow_flight::Result>> {
        let body = match request.get_ref().r#type.as_str() {
            CREATE_PREPARED_STATEMENT => self.service.create_prepared(&request).await?,
            SET_SESSION_OPTIONS => self.service.set_session_options(&request)?,
            GET_SESSION_OPTIONS => self.service.get_session_options(&request)?,
            CLOSE_SESSION => self.service.close_session(&request)?,
            CANCEL_FLIGHT_INFO => self.service.cancel_flight_info(&request)?,
            _ => return FlightService::do_action(&self.service, request).await,
        };
        let answer = arrow_flight::Result { body: body.into() };
        Ok(Response::new(stream::iter([Ok(answer)]).boxed()))
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for Front {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoActionStream = Stream<arrow_flight::Result>;
    type ListActionsStream = Stream<ActionType>;
    type DoExchangeStream = Stream<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Self::HandshakeStream> {
        let span = of_call("Handshake", sent_by_client(request.metadata()));
        answered(span, FlightService::handshake(&self.service, request)).await
    }

    /// Nothing is offered but what is asked for by command.
    async fn list_flights(&self, request: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        self.service.session(&request)?;
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        let span = of_call("GetFlightInfo", sent_by_client(request.metadata()));
        answered(span, FlightService::get_flight_info(&self.service, request)).await
    }

    /// Statements are planned at once and run when fetched: the first answer is complete.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<PollInfo> {
        let span = of_call("PollFlightInfo", sent_by_client(request.metadata()));
        let info = answered(span, FlightService::get_flight_info(&self.service, request)).await?.into_inner();
        Ok(Response::new(PollInfo { info: Some(info), progress: Some(1.0), ..PollInfo::default() }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        let span = of_call("GetSchema", sent_by_client(request.metadata()));
        let info = answered(span, FlightService::get_flight_info(&self.service, request)).await?.into_inner();
        Ok(Response::new(SchemaResult { schema: info.schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let span = match sent_by_client(request.metadata()) {
            "" if trace::is_heard() => {
                let asked_by = self.service.asked_by(&request, request.get_ref());
                of_call("DoGet", &asked_by.map(|parent| parent.to_string()).unwrap_or_default())
            }
            sent => of_call("DoGet", sent),
        };
        answered(span, FlightService::do_get(&self.service, request)).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        let span = of_call("DoPut", sent_by_client(request.metadata()));
        answered(span, FlightService::do_put(&self.service, request)).await
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        let span = of_call("DoAction", sent_by_client(request.metadata()));
        answered(span, self.act(request)).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Answer<Self::ListActionsStream> {
        let known = FlightService::list_actions(&self.service, request).await?.into_inner();
        let ours = [
            (SET_SESSION_OPTIONS, "Sets settings of the session."),
            (GET_SESSION_OPTIONS, "Gives the settings of the session."),
            (CLOSE_SESSION, "Ends the session."),
            (CANCEL_FLIGHT_INFO, "Ends a statement."),
        ]
        .map(|(name, what)| Ok(ActionType { r#type: name.into(), description: what.into() }));
        Ok(Response::new(known.chain(stream::iter(ours)).into_stream().boxed()))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        Err(Status::unimplemented("DoExchange is not supported yet"))
    }
}
