package kv

import (
	"unicode/utf8"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/kv/driver"
)

// validateOperation returns an error if an operation must not be sent.
func (s *Store) validateOperation(op driver.Op) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	if err := s.validateKey(op.Key); err != nil {
		return err
	}
	switch op.Kind {
	case driver.OpCreate, driver.OpCAS, driver.OpDeleteIf:
		if err := s.handle.CheckClaim(CAS); err != nil {
			return err
		}
	}
	if (op.Kind == driver.OpCAS || op.Kind == driver.OpDeleteIf) && op.Revision == "" {
		return fairlead.Errorf(fairlead.Invalid, "the revision is empty, which names no state; pass one that a read or write returned, or use Create")
	}
	if err := s.validateValue(op.Value); err != nil {
		return err
	}
	return s.validateTTL(op)
}

func (s *Store) validateKey(key string) error {
	limit := s.handle.Facet.Limits.MaxKeyBytes
	switch {
	case key == "":
		return fairlead.Errorf(fairlead.Invalid, "the key is empty; a key has 1 to %d bytes", limit)
	case len(key) > limit:
		return fairlead.Errorf(fairlead.TooLarge, "the key has %d bytes, the limit is %d", len(key), limit)
	}
	return validateUTF8("key", key)
}

func validateUTF8(what, s string) error {
	if utf8.ValidString(s) {
		return nil
	}
	return fairlead.Errorf(fairlead.Invalid, "the %s %q is not valid UTF-8; encode other bytes, for example with base64", what, s)
}

func (s *Store) validateValue(value []byte) error {
	if limit := s.handle.Facet.Limits.MaxValueBytes; len(value) > limit {
		return fairlead.Errorf(fairlead.TooLarge, "the value has %d bytes, the limit is %d", len(value), limit)
	}
	return nil
}

func (s *Store) validateTTL(op driver.Op) error {
	if op.TTL == 0 {
		return nil
	}
	if err := s.handle.CheckClaim(TTL); err != nil {
		return err
	}
	limits := s.handle.Facet.Limits
	if op.TTL < limits.MinTTL {
		return fairlead.Errorf(fairlead.Invalid, "the time to live is %v, the provider's minimum is %v", op.TTL, limits.MinTTL)
	}
	if longest := handle.LongestDuration(limits.MaxTTL); op.TTL > longest {
		return fairlead.Errorf(fairlead.Invalid, "the time to live is %v, the maximum is %v; leave WithTTL out for a key that stays", op.TTL, longest)
	}
	return nil
}
