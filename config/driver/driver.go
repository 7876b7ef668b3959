// Package driver has the interfaces that a provider implements to offer the
// config facet. A provider whose kv facet claims Watch and List need not implement
// them: package config then reads the settings from a store.
//
// # Contract
//
// All methods may be called concurrently. A driver does not keep or change a
// slice or map that it is given; what it returns belongs to the caller. Every
// call returns within about a second of the end of its context. A source
// survives the restart of its backend: meanwhile Next fails with Unavailable and
// is called again; it then returns the present state, so that no change is missed.
//
// Errors are [*fairlead.Error] values: Unavailable, PermissionDenied,
// Canceled, DeadlineExceeded, Closed, Internal from any call; Conflict and
// UnknownOutcome from Set.
package driver

import (
	"context"

	"fairlead.dev"
)

// Provider is implemented by a provider that describes the config facet.
type Provider interface {
	fairlead.Provider

	// OpenSource returns the settings of that name. A name under which
	// nothing was ever set is an empty source, not an error.
	OpenSource(ctx context.Context, c SourceConfig) (Source, error)
}

// SourceConfig says which settings to open.
type SourceConfig struct {
	Name string // 1–128 of A–Z a–z 0–9 . _ -, the first a letter or digit
}

// Source is a set of keys with values.
type Source interface {
	// Snapshot returns all keys with their present values. They belong to one
	// moment where ClaimSnapshot is claimed.
	Snapshot(ctx context.Context) (Snapshot, error)

	// Next blocks until the source's version differs from the one given, and
	// returns all keys then. It may skip states in between; it always reaches
	// the last one.
	Next(ctx context.Context, version string) (Snapshot, error)

	// Set applies changes: all of them or none where ClaimAtomicSet is claimed.
	// It returns the version after them, or "" if they are made and it cannot be
	// read. Claimed as ClaimWrite. A checked
	// change, claimed as ClaimCompareAndSet, fails with Conflict if the key has
	// another version.
	Set(ctx context.Context, changes []Change) (string, error)

	Close(ctx context.Context) error
}

// Snapshot is everything that a source holds.
type Snapshot struct {
	// Version is opaque and never empty. It differs from the previous version
	// whenever the Values differ.
	Version string
	Values  map[string]Value
}

// Value is one setting. An empty value is present; a deleted one is not.
type Value struct {
	Data    []byte
	Version string // of this key; opaque; empty if the backend has none
}

// Change sets or deletes one key.
type Change struct {
	Key    string // 1–512 bytes of UTF-8
	Data   []byte
	Delete bool
	// Checked makes the change fail with Conflict unless the key's present
	// version is Version; an empty Version means that the key must not exist.
	Checked bool
	Version string
}
