// Package remote is the host's side of the protocol: a provider whose drivers
// make calls of a plugin.
//
// A provider goes on when its session breaks: it opens a new one, and stores,
// topics, subscriptions, watchers, sources and listeners open themselves anew
// in it. Calls that were under way fail: with Unavailable, or UnknownOutcome
// for a write that was sent. Streams of rpc are lost.
package remote
