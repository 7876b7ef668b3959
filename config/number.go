package config

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
)

// numberType is the type of the numbers of JSON, which are kept as written.
var numberType = reflect.TypeFor[json.Number]()

// typedNumbers returns a value for a field of any type: each number of JSON in it
// becomes an int64, or else a uint64, if it is whole and written without "." and
// "e", and otherwise a float64. A number that none of them holds stays as written.
func typedNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return typedNumber(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, element := range v {
			out[key] = typedNumbers(element)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = typedNumbers(item)
		}
		return out
	}
	return v
}

func typedNumber(n json.Number) any {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u
	}
	if f, err := n.Float64(); err == nil && strings.ContainsAny(n.String(), ".eE") {
		return f
	}
	return n
}

// convertNumber returns the number in a text of decimal digits as a value for a
// field of type t.
func convertNumber(text string, t reflect.Type) (any, error) {
	switch k := t.Kind(); {
	case t == durationType:
	case k >= reflect.Int && k <= reflect.Int64:
		if n, ok := wholeNumber(text); ok && n.IsInt64() && !reflect.Zero(t).OverflowInt(n.Int64()) {
			return n.Int64(), nil
		}
	case k >= reflect.Uint && k <= reflect.Uintptr:
		if n, ok := wholeNumber(text); ok && n.IsUint64() && !reflect.Zero(t).OverflowUint(n.Uint64()) {
			return n.Uint64(), nil
		}
	case k == reflect.Float32 || k == reflect.Float64:
		if f, err := strconv.ParseFloat(text, t.Bits()); err == nil && holdsWhole(f, text) {
			return f, nil
		}
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return unmarshalText(text, t)
	}
	return nil, errNotA(t)
}

// maxDigits bounds the numbers, and their exponents, that are compared exactly.
const maxDigits = 400

// wholeNumber returns the number in a text if it is whole: 12, 12.0 and 1.2e1 are.
func wholeNumber(text string) (*big.Int, bool) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if exponent == "" && !strings.Contains(mantissa, ".") {
		return new(big.Int).SetString(text, 10)
	}
	power, err := strconv.Atoi(exponent)
	if exponent != "" && (err != nil || max(power, -power) > maxDigits) || len(mantissa) > maxDigits {
		return nil, false
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok || !n.IsInt() {
		return nil, false
	}
	return n.Num(), true
}

// holdsWhole reports whether f is the number in the text, if that is written as a
// whole number.
func holdsWhole(f float64, text string) bool {
	if strings.ContainsAny(text, ".eE") {
		return true
	}
	n, ok := wholeNumber(text)
	if !ok {
		return false
	}
	exact, _ := new(big.Float).SetFloat64(f).Int(nil)
	return exact.Cmp(n) == 0
}

// exactFloat is the bound up to which every whole number is a float64.
const exactFloat = 1 << 53

// checkFloat returns a floating-point number if a field of type t holds it.
func checkFloat(from reflect.Value, t reflect.Type) (any, error) {
	f, zero := from.Float(), reflect.Zero(t)
	whole := f == math.Trunc(f) && math.Abs(f) <= exactFloat
	fits := true
	switch {
	case zero.CanInt():
		fits = whole && !zero.OverflowInt(int64(f))
	case zero.CanUint():
		fits = whole && f >= 0 && !zero.OverflowUint(uint64(f))
	case zero.CanFloat():
		fits = !zero.OverflowFloat(f)
	}
	if !fits {
		return nil, errNotA(t)
	}
	return from.Interface(), nil
}
