package config

import (
	"errors"
	"fmt"

	"fairlead.dev"
)

// Rejected says why an update was not applied. It is the cause of an error
// with the code Invalid. It holds no value, but for what Validate says.
type Rejected struct {
	Layer  string // whose content is at fault, or whose change Validate refused; empty if not known
	Key    string // empty if no single one is at fault
	Reason string
	Err    error // of Validate; may be nil
}

// Error implements error.
func (r *Rejected) Error() string {
	text := r.Reason
	if r.Key != "" {
		text = fmt.Sprintf("key %q %s", r.Key, text)
	}
	if r.Layer != "" {
		text = r.Layer + ": " + text
	}
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (r *Rejected) Unwrap() error { return r.Err }

// invalid returns err as the errors of this package are: a Rejected as the
// cause of an Invalid.
func invalid(err error, op string) error {
	var r *Rejected
	if errors.As(err, &r) {
		err = &fairlead.Error{Code: fairlead.Invalid, Err: err}
	}
	return fairlead.Annotate(err, op, "")
}
