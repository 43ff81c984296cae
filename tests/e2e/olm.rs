//! Fairway by the Operator Lifecycle Manager: installed by a Subscription, upgraded by its channels, taken away and
//! brought back. `make test-e2e` makes the catalogs of this version, and of this one and a next. Touches OLM, sandboxes,
//! and the operator that the other tests use, which is put back.

mod mistakes;
mod modes;
mod operator;
mod scorecard;
mod uninstall;
mod upgrade;
