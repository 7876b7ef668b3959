package config

import (
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
)

// SourceOption is an option of [Open], [From] and [FromURL].
type SourceOption interface{ setSource(*sourceOptions) error }

type sourceOptions struct {
	require []fairlead.Requirement
	quiet   quietPeriod
}

func readSourceOptions(opts []SourceOption) (o sourceOptions, err error) {
	for i, opt := range opts {
		if opt == nil {
			return o, handle.NilOption("the source", i)
		}
		if err := opt.setSource(&o); err != nil {
			return o, err
		}
	}
	return o, nil
}

type sourceOption func(*sourceOptions) error

func (f sourceOption) setSource(o *sourceOptions) error { return f(o) }

// Require makes opening fail with Unsupported unless the source meets all
// requirements. The error names the missing ones. [Describe] shows beforehand
// which claims hold.
func Require(reqs ...fairlead.Requirement) SourceOption {
	return sourceOption(func(o *sourceOptions) error {
		if slices.Contains(reqs, nil) {
			return fairlead.Errorf(fairlead.Invalid, "Require needs claims, got nil; pass constants such as config.AtomicSet")
		}
		o.require = append(o.require, reqs...)
		return nil
	})
}

// QuietPeriod makes a source that does not claim [Snapshot] wait until it has
// not changed for a period, so that the changes of one Set are seen together if
// the writer took less than the period from one change to the next. It helps
// but guarantees nothing: a Set whose writer pauses longer is seen in part, and
// so is one of a source that keeps changing for ten periods. [Source.Next], and
// the first reading of [Load] and [Watch], take at least one period longer;
// [Source.Snapshot] does not wait.
//
// Where Snapshot is claimed, QuietPeriod does nothing. The period is 1 ms to
// 1 minute.
func QuietPeriod(d time.Duration) SourceOption {
	return sourceOption(func(o *sourceOptions) error {
		if d < time.Millisecond || d > time.Minute {
			return fairlead.Errorf(fairlead.Invalid, "QuietPeriod is %v; it must be 1ms to 1m", d)
		}
		o.quiet = quietPeriod{d}
		return nil
	})
}
