// Package providers is the kit for authors of providers. Programs that only use
// providers need package fairlead.dev instead.
//
// A provider's package registers a [Scheme] from its init function:
//
//	func init() {
//		providers.Register(providers.Scheme{
//			Name:     "acme",
//			Help:     "an Acme server: acme://127.0.0.1:4000",
//			Settings: providers.PasswordSettings(),
//			Open:     open,
//		})
//	}
//
// [Settings] is the validated URL that Open receives, with its passwords and its
// TLS configuration. An open provider keeps a password as a [Hidden], and embeds
// [Live]: whatever prints the provider, or a handle of it, shows no secret.
//
// The driver packages specify what a provider implements for each facet:
// kv/driver, pubsub/driver, rpc/driver and config/driver.
//
// # Describing
//
// [Live] holds the description of an open provider, and [Live.Keep] keeps it
// true: it probes the backend at every interval, and whenever a [Trigger] asks
// for it. [DescribeState] makes the probe. [SettleClaim] adds a claim to the
// description of a facet, or the reasons why the claim does not hold.
//
// # Handles
//
// A [Lifetime] is how long the provider, or a handle that was opened from it, is
// open. [Handles] is the set of the handles that have something to give back when
// the provider is closed. [Signal], [Pause] and [Lifetime.Wait] wait for events
// that are not answers to calls. [TakeInbox] takes what has come for the reader of a
// stream.
//
// # Cleaning up
//
// A provider that keeps on its backend what no facet can delete, for example the
// addresses of rpc servers, implements [Cleaner]. The conformance suite and "fairlead
// conformance clean" then leave the backend as it was.
//
// # Calls
//
// [Calls] bounds the calls of a client in time, and tells a write that was not
// sent from one whose outcome is unknown; package providers/grpcsent reports to
// it what a gRPC client sends. [Retry] repeats a step that has no effect while the
// backend cannot be reached, for example the Next of a watcher or the renewal of a
// lease. [AddEndpoint] adds the server that was tried to an error of Open.
//
// This package imports the root package and the standard library only.
package providers
