package config

import (
	"errors"
	"fmt"

	"fairlead.dev"
)

// Rejected says why an update was not applied. It is the cause of an error with
// the code Invalid. It contains no value of a setting, except in the text of an
// error that Validate returned.
type Rejected struct {
	Layer  string // the layer at fault, or whose change Validate refused; empty if unknown
	Key    string // empty if no single one is at fault
	Reason string
	Err    error // the error that Validate returned; may be nil
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

// annotateRejected annotates err with the operation. A Rejected becomes the cause
// of an error with the code Invalid.
func annotateRejected(err error, op string) error {
	var r *Rejected
	if errors.As(err, &r) {
		err = &fairlead.Error{Code: fairlead.Invalid, Err: err}
	}
	return fairlead.Annotate(err, op, "")
}
