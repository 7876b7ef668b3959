// Package remote is the host's side of the protocol: a provider whose drivers
// make calls of a plugin.
//
// A provider survives the end of its session. It opens a new session, and
// stores, topics, subscriptions, watchers, sources and listeners are reopened in
// it. Calls that were in flight fail: with UnknownOutcome if they are writes that
// were sent, and otherwise with Unavailable. Streams of rpc are lost.
package remote
