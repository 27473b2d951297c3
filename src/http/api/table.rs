//! Every route and who may use it, in one place: [`super::identity`] enforces it, and a test walks it.

use axum::http::Method;

use crate::domain::identity::{Role, Scope};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches it: what tells nothing, and what signs in.
    Open,
    /// Whoever has shown who they are.
    Anyone,
    /// Whoever has this role at least, and this scope if it is a token.
    May(Role, Scope),
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method; GET stands for HEAD, too.
    pub method: Method,
    /// The path below `[http] base_path`, with parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

/// Who reads.
pub(super) const VIEW: Access = Access::May(Role::Viewer, Scope::Read);

/// Who acts on requests, accounts, alerts and channels, and who manages users.
const ASK: Access = Access::May(Role::Operator, Scope::Requests);
const STAND: Access = Access::May(Role::Operator, Scope::Accounts);
const ALERT: Access = Access::May(Role::Operator, Scope::Alerts);
const TELL: Access = Access::May(Role::Operator, Scope::Channels);
const MANAGE: Access = Access::May(Role::Admin, Scope::Users);
const BACKUPS: Access = Access::May(Role::Admin, Scope::Backup);

/// Who may follow events, which is asked again while a stream goes on.
pub(super) const EVENTS: Access = Access::May(Role::Viewer, Scope::Events);

const fn get(path: &'static str, access: Access) -> Route {
    Route { method: Method::GET, path, access }
}

const fn post(path: &'static str, access: Access) -> Route {
    Route { method: Method::POST, path, access }
}

const fn patch(path: &'static str, access: Access) -> Route {
    Route { method: Method::PATCH, path, access }
}

const fn delete(path: &'static str, access: Access) -> Route {
    Route { method: Method::DELETE, path, access }
}

/// Those of pages for people. They only show: a form asks the API.
pub const PAGES: &[Route] = &[
    get("/assets/{name}", Access::Open),
    get("/favicon.ico", Access::Open),
    get("/sign-in", Access::Open),
    get("/", VIEW),
    get("/search", VIEW),
    get("/requests", VIEW),
    get("/requests/{id}", VIEW),
    get("/accounts", VIEW),
    get("/accounts/{appid}", VIEW),
    get("/programs", VIEW),
    get("/conflicts", VIEW),
    get("/alerts", VIEW),
    get("/alerts/{id}", VIEW),
    get("/channels", VIEW),
    get("/channels/{name}", VIEW),
    get("/report", VIEW),
    get("/plan", VIEW),
    get("/audit", VIEW),
    get("/actions", VIEW),
    get("/actions/{id}", VIEW),
    get("/me", Access::Anyone),
];

/// Those that only a demo mounts.
pub const DEMO: &[Route] = &[
    get("/enter/{ticket}", Access::Open),
    post("/enter/{ticket}", Access::Open),
    post("/demo/answer", Access::May(Role::Operator, Scope::Requests)),
];

/// Those of the API.
pub const ROUTES: &[Route] = &[
    get("/livez", Access::Open),
    get("/readyz", Access::Open),
    get("/metrics", Access::May(Role::Viewer, Scope::Metrics)),
    get("/api/v1/openapi.json", VIEW),
    get("/api/v1/meta", VIEW),
    post("/api/v1/session", Access::Open),
    delete("/api/v1/session", Access::Anyone),
    get("/api/v1/sessions", Access::Anyone),
    delete("/api/v1/sessions", Access::Anyone),
    delete("/api/v1/sessions/{id}", Access::Anyone),
    get("/api/v1/requests", VIEW),
    get("/api/v1/requests/count", VIEW),
    get("/api/v1/requests/{id}", VIEW),
    get("/api/v1/requests/{id}/history", VIEW),
    get("/api/v1/requests/{id}/explanation", VIEW),
    get("/api/v1/accounts", VIEW),
    get("/api/v1/accounts/{appid}", VIEW),
    get("/api/v1/programs", VIEW),
    get("/api/v1/conflicts", VIEW),
    get("/api/v1/conflicts/{id}", VIEW),
    get("/api/v1/alerts", VIEW),
    get("/api/v1/alerts/groups", VIEW),
    get("/api/v1/alerts/{id}", VIEW),
    get("/api/v1/channels", VIEW),
    get("/api/v1/channels/{name}", VIEW),
    get("/api/v1/channels/{name}/deliveries", VIEW),
    get("/api/v1/reports/approvals", VIEW),
    get("/api/v1/reports/digest", VIEW),
    get("/api/v1/events", EVENTS),
    get("/api/v1/backups", BACKUPS),
    post("/api/v1/backups", BACKUPS),
    // What its noun needs beside it is asked for where the action is known.
    post("/api/v1/actions", Access::May(Role::Operator, Scope::Read)),
    get("/api/v1/audit", VIEW),
    get("/api/v1/plan", VIEW),
    get("/api/v1/status", VIEW),
    get("/api/v1/component", VIEW),
    get("/api/v1/ids", VIEW),
    get("/api/v1/gates", VIEW),
    get("/api/v1/authorizers", VIEW),
    get("/api/v1/authorizers/{appid}", VIEW),
    post("/api/v1/requests", ASK),
    post("/api/v1/requests/batch", ASK),
    post("/api/v1/requests/{id}/cancel", ASK),
    post("/api/v1/requests/{id}/retry", ASK),
    post("/api/v1/requests/{id}/nudge", ASK),
    post("/api/v1/accounts/{appid}/suspend", STAND),
    post("/api/v1/accounts/{appid}/resume", STAND),
    post("/api/v1/alerts/{id}/acknowledge", ALERT),
    post("/api/v1/alerts/{id}/snooze", ALERT),
    post("/api/v1/alerts/{id}/resolve", ALERT),
    post("/api/v1/channels/{name}/test", TELL),
    post("/api/v1/channels/{name}/deliveries/retry", TELL),
    post("/api/v1/audit", Access::May(Role::Operator, Scope::Read)),
    get("/api/v1/actions", VIEW),
    get("/api/v1/actions/{id}", VIEW),
    get("/api/v1/actions/{id}/requests", VIEW),
    get("/api/v1/actions/{id}/alerts", VIEW),
    get("/api/v1/actions/{id}/accounts", VIEW),
    // Of these, everybody has own ones: the handlers tell whose is whose.
    get("/api/v1/tokens", Access::Anyone),
    post("/api/v1/tokens", Access::Anyone),
    delete("/api/v1/tokens/{id}", Access::Anyone),
    get("/api/v1/users", MANAGE),
    post("/api/v1/users", MANAGE),
    patch("/api/v1/users/{name}", MANAGE),
    delete("/api/v1/users/{name}", MANAGE),
];

/// Every route.
pub fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(PAGES).chain(DEMO)
}

/// Who may use this route; `None` where there is none.
#[must_use]
pub fn access(method: &Method, path: &str) -> Option<Access> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    all().find(|route| route.path == path && route.method == *method).map(|route| route.access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_written_out_here_too() {
        let open: Vec<(&str, &str)> = all()
            .filter(|route| route.access == Access::Open)
            .map(|route| (route.method.as_str(), route.path))
            .collect();
        assert_eq!(
            open,
            [
                ("GET", "/livez"),
                ("GET", "/readyz"),
                ("POST", "/api/v1/session"),
                ("GET", "/assets/{name}"),
                ("GET", "/favicon.ico"),
                ("GET", "/sign-in"),
                ("GET", "/enter/{ticket}"),
                ("POST", "/enter/{ticket}"),
            ]
        );
        assert!(PAGES.iter().all(|route| route.method == Method::GET), "a page changes nothing");
        for route in all() {
            if let Access::May(role, scope) = route.access {
                assert!(role.includes(scope), "{route:?}");
                let is_read = route.method == Method::GET;
                assert!(is_read || role > Role::Viewer, "{route:?}: a viewer changes nothing");
            }
            assert_eq!(access(&route.method, route.path), Some(route.access), "{route:?} stands there twice");
        }
        assert_eq!(access(&Method::HEAD, "/api/v1/requests"), Some(VIEW));
        assert_eq!(access(&Method::POST, "/api/v1/requests/count"), None);
        assert_eq!(access(&Method::POST, "/api/v1/requests"), Some(ASK));
        assert_eq!(access(&Method::GET, "/api/v1/requests/"), None);
    }
}
