package kv

import (
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
)

// Option changes how [Open] opens a store.
type Option func(*openOptions) error

type openOptions struct{ require []fairlead.Requirement }

// Require makes Open fail with ErrUnsupported unless all requirements hold.
// Every later call fails likewise while one of them does not hold.
func Require(reqs ...fairlead.Requirement) Option {
	return func(o *openOptions) error {
		if slices.Contains(reqs, nil) {
			return fairlead.Errorf(fairlead.Invalid, "Require needs claims, got nil; pass constants such as kv.CAS")
		}
		o.require = append(o.require, reqs...)
		return nil
	}
}

func resolveOpenOptions(opts []Option) (openOptions, error) {
	var o openOptions
	for i, opt := range opts {
		if opt == nil {
			return o, handle.NilOption("kv.Open", i)
		}
		if err := opt(&o); err != nil {
			return openOptions{}, err
		}
	}
	return o, nil
}

// WriteOption changes a write.
type WriteOption func(*writeOptions) error

type writeOptions struct{ ttl time.Duration }

// WithTTL makes the key expire after d, which is rounded up to the provider's
// resolution. A write without it clears an earlier time to live. It needs the
// claim [TTL]. A d that is not positive, below the provider's MinTTL or above
// its MaxTTL is Invalid.
func WithTTL(d time.Duration) WriteOption {
	return func(o *writeOptions) error {
		if d <= 0 {
			return fairlead.Errorf(fairlead.Invalid, "the time to live is %v; pass a positive one, or leave WithTTL out for a key that stays", d)
		}
		o.ttl = d
		return nil
	}
}

func resolveWriteOptions(opts []WriteOption) (writeOptions, error) {
	if len(opts) == 0 {
		return writeOptions{}, nil // before o, which costs an allocation
	}
	var o writeOptions
	for i, opt := range opts {
		if opt == nil {
			return o, handle.NilOption("the write", i)
		}
		if err := opt(&o); err != nil {
			return writeOptions{}, err
		}
	}
	return o, nil
}
