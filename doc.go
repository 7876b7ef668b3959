// Package fairlead is the package that every program with Fairlead needs: it opens
// a backend from a URL, and defines how a backend's guarantees, limits and errors
// are described.
//
// # Opening
//
// A [Provider] is one connection to one backend. Its package registers a URL
// scheme when it is imported, and [Open] resolves a URL to it:
//
//	import _ "fairlead.dev/providers/redis"
//
//	p, err := fairlead.Open(ctx, "redis://127.0.0.1:6379")
//
// The URL names hosts, credentials and, in its query, settings. Every setting
// is declared by the scheme; an unknown one, or one with a bad value, is an
// [Invalid] error that names it and what is accepted. No error, log line or
// [Description] carries a credential.
//
// Packages kv, pubsub, rpc and config open their facet of a provider.
//
// # Closing
//
// A program closes what it has opened, the last first: [Closers] does that
// within a time.
//
// # Guarantees are data
//
// [Provider].Describe says what holds on the live backend, as it was last probed: for each
// [Facet] the [Claim] values that hold, the ones that do not (with the reason
// and what would have to change on the backend), and the [Limits]. Nothing is
// assumed from the kind of backend where the backend can be asked. The
// description has a generation; [Provider].Await waits for the next one, so
// that a guarantee lost at run time is noticed.
//
// A program demands guarantees when it opens a facet, through a
// [Requirement]; a [Claim] is the simplest of them.
//
// # Errors
//
// Every error of a provider is an [*Error] with a [Code]. A code is itself an
// error, so errors.Is(err, fairlead.NotFound) holds in and out of process.
// [Code.Retry] says whether repeating the call is safe. Two rules matter more
// than the rest:
//
//   - A write that may or may not have been applied is [UnknownOutcome]. No
//     other code is ever used for it, and no provider repeats it silently.
//   - [Unavailable], [Canceled] and [DeadlineExceeded] on a write mean that it
//     was not applied and will not be.
//
// This package imports the standard library only.
package fairlead
