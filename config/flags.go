package config

import (
	"fmt"
	"reflect"

	"fairlead.dev"
)

// FlagSet is a set of command-line flags: [flag.FlagSet], or the FlagSet of
// github.com/spf13/pflag. F is its type of a flag, a struct with a Name and a
// Value.
type FlagSet[F any] interface {
	Parsed() bool
	// Visit calls a function with each flag that was set.
	Visit(func(*F))
}

// Flags is a layer of the flags that were set on the command line. Flags that
// were not set do not hide the layers below. Parse the set first.
//
//	config.Flags(flag.CommandLine)
//	config.Flags(cmd.Flags()) // of cobra
func Flags[F any](set FlagSet[F]) Layer {
	if v := reflect.ValueOf(set); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() || !set.Parsed() {
		return Layer{err: fairlead.Errorf(fairlead.Invalid, "Flags needs a set of flags that was parsed; call its Parse first")}
	}
	return readOnce("flags", func() (map[string]any, error) {
		values := map[string]any{}
		var err error
		set.Visit(func(f *F) {
			name, value, ok := readFlag(f)
			if !ok {
				err = fairlead.Errorf(fairlead.Invalid, "a %T has no Name, or its Value has no String method", f)
			}
			values[name] = value
		})
		return nest(values, splitKey), err
	})
}

// readFlag returns a flag's name and value. For a list of pflag it returns the
// items, since the text of the list does not separate them reliably.
func readFlag(f any) (name string, value any, ok bool) {
	v := reflect.Indirect(reflect.ValueOf(f))
	if v.Kind() != reflect.Struct || !v.FieldByName("Name").IsValid() || !v.FieldByName("Value").IsValid() {
		return "", nil, false
	}
	name = v.FieldByName("Name").String()
	switch set := v.FieldByName("Value").Interface().(type) {
	case interface{ GetSlice() []string }:
		items := []any{}
		for _, item := range set.GetSlice() {
			items = append(items, item)
		}
		return name, items, true
	case fmt.Stringer:
		return name, set.String(), true
	}
	return name, nil, false
}
