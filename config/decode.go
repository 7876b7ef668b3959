package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// decodeLayers merges the layers' contents, later ones over earlier ones, and
// decodes them into the struct that into points to.
func decodeLayers(contents []map[string]any, into any) error {
	k := koanf.New(".")
	for _, c := range contents {
		if err := k.Load(confmap.Provider(c, ""), nil); err != nil {
			return &Rejected{Reason: "the layers cannot be merged", Err: err}
		}
	}
	err := k.UnmarshalWithConf("", into, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		TagName:    tagName,
		Squash:     true,
		DecodeHook: mapstructure.DecodeHookFuncValue(convert),
		MatchName:  func(key, field string) bool { return key == field },
	}})
	if err != nil {
		return rejectDecoding(err)
	}
	return nil
}

// rejectDecoding returns a rejection that names the first key at fault.
func rejectDecoding(err error) error {
	var faults []*Rejected
	collectFaults(err, &faults)
	if len(faults) == 0 {
		return &Rejected{Reason: "the merged layers do not fit the struct"}
	}
	return slices.MinFunc(faults, func(a, b *Rejected) int { return strings.Compare(a.Key, b.Key) })
}

// collectFaults collects the errors of a decoder that name a key.
func collectFaults(err error, faults *[]*Rejected) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			collectFaults(e, faults)
		}
		return
	}
	var at *mapstructure.DecodeError
	if !errors.As(err, &at) {
		if inner := errors.Unwrap(err); inner != nil {
			collectFaults(inner, faults)
		}
		return
	}
	*faults = append(*faults, &Rejected{Key: bracketsToDots.Replace(at.Name()), Reason: describeFault(at.Unwrap())})
}

var bracketsToDots = strings.NewReplacer("[", ".", "]", "")

// describeFault describes a fault without its value.
func describeFault(err error) string {
	var own unfit
	var kind *mapstructure.UnconvertibleTypeError
	switch {
	case errors.As(err, &own):
		return own.Error()
	case errors.As(err, &kind):
		return fmt.Sprintf("is %s, which is not %s", describeValue(kind.Value), describeType(kind.Expected.Type()))
	}
	return "does not fit the field's type"
}

// unfit says why a value does not fit, without the value.
type unfit string

func (u unfit) Error() string { return string(u) }

func errNotA(t reflect.Type) error { return unfit("is not " + describeType(t)) }

// describeValue says what a value is, in the words of a file.
func describeValue(v any) string {
	switch rv := reflect.ValueOf(v); {
	case rv.Kind() == reflect.Map || rv.Kind() == reflect.Struct && !isLeaf(rv.Type()):
		return "a group of keys"
	case rv.Kind() == reflect.Slice || rv.Kind() == reflect.Array:
		return "a list"
	case rv.Kind() == reflect.Bool:
		return "true or false"
	case rv.CanInt() || rv.CanUint() || rv.CanFloat() || rv.IsValid() && rv.Type() == numberType:
		return "a number"
	case rv.Kind() == reflect.String:
		return "a text"
	}
	return fmt.Sprintf("a %T", v)
}

func describeType(t reflect.Type) string {
	switch k := t.Kind(); {
	case t == durationType:
		return "a duration with a unit, for example 1500ms or 5s"
	case k == reflect.Bool:
		return "true or false"
	case k >= reflect.Int && k <= reflect.Int64:
		return fmt.Sprintf("a whole number that an %s holds", k)
	case k >= reflect.Uint && k <= reflect.Uintptr:
		return fmt.Sprintf("a whole number of at least 0 that a %s holds", k)
	case k == reflect.Float32 || k == reflect.Float64:
		return fmt.Sprintf("a number that a %s holds", k)
	case k == reflect.String:
		return "a string; quote it"
	case k == reflect.Struct || k == reflect.Map:
		return "a group of keys"
	case k == reflect.Slice || k == reflect.Array:
		return "a list"
	}
	return "a valid " + t.String()
}

var durationType = reflect.TypeFor[time.Duration]()

// convert is the decoder's hook: it turns text into the type of a field, and
// refuses numbers that the field cannot hold exactly.
func convert(from, to reflect.Value) (any, error) {
	t := to.Type()
	switch k := from.Kind(); {
	case t.Kind() == reflect.Interface:
		return typedNumbers(from.Interface()), nil
	case t.Kind() == reflect.Pointer || from.Type() == t:
		return from.Interface(), nil
	case from.Type() == numberType:
		return convertNumber(from.String(), t)
	case k == reflect.String:
		return convertText(from, t)
	case t == durationType:
		return nil, errNotA(t)
	case from.CanInt() || from.CanUint():
		return convertNumber(fmt.Sprint(from.Interface()), t)
	case from.CanFloat():
		return checkFloat(from, t)
	}
	return from.Interface(), nil
}

func convertText(from reflect.Value, t reflect.Type) (any, error) {
	text := from.String()
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return unmarshalText(text, t)
	}
	var v any
	var err error
	switch k := t.Kind(); {
	case t == durationType:
		v, err = time.ParseDuration(text)
	case k == reflect.Bool:
		v, err = strconv.ParseBool(text)
	case k >= reflect.Int && k <= reflect.Int64:
		v, err = strconv.ParseInt(text, 10, t.Bits())
	case k >= reflect.Uint && k <= reflect.Uintptr:
		v, err = strconv.ParseUint(text, 10, t.Bits())
	case k == reflect.Float32 || k == reflect.Float64:
		v, err = strconv.ParseFloat(text, t.Bits())
	case k == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		v = []byte(text)
	default:
		v = from.Interface()
	}
	if err != nil {
		return nil, errNotA(t)
	}
	return v, nil
}

func unmarshalText(text string, t reflect.Type) (any, error) {
	v := reflect.New(t)
	if v.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)) != nil {
		return nil, unfit("is not a valid " + t.String())
	}
	return v.Elem().Interface(), nil
}
