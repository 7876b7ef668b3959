package providers

import (
	"errors"

	"fairlead.dev"
)

// AddEndpoint adds the address that a provider tried to reach to an error of its
// Open, and keeps the code. The endpoint holds no credentials. An error that is
// not a [*fairlead.Error], or has the code Canceled, is returned as it is.
func AddEndpoint(err error, endpoint string) error {
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code == fairlead.Canceled {
		return err
	}
	if err != error(e) {
		return fairlead.Errorf(e.Code, "%s: %w", endpoint, err)
	}
	named := *e // its text has the code once
	if named.Message == "" && named.Err != nil {
		named.Message = named.Err.Error()
	}
	named.Message = endpoint + ": " + named.Message
	return &named
}
