package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// decodeYAML decodes the only document of a text that is not empty.
func decodeYAML(text []byte) (any, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var found any
	for {
		var v any
		err := decoder.Decode(&v)
		switch {
		case errors.Is(err, io.EOF):
			return stringKeys(found)
		case err != nil:
			return nil, err
		case v != nil && found != nil:
			return nil, errDocument
		case v != nil:
			found = v
		}
	}
}

// stringKeys returns a value with the keys of its groups as strings: YAML allows
// keys of any type.
func stringKeys(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		return keysOf(v, func(key string) string { return key })
	case map[any]any:
		return keysOf(v, func(key any) string { return fmt.Sprint(key) })
	case []any:
		for i, item := range v {
			plain, err := stringKeys(item)
			if err != nil {
				return nil, err
			}
			v[i] = plain
		}
	}
	return v, nil
}

func keysOf[K comparable](given map[K]any, name func(K) string) (any, error) {
	group := make(map[string]any, len(given))
	for key, v := range given {
		if _, twice := group[name(key)]; twice {
			return nil, problem("has a key twice in one group, as a string and as another type; quote it, or remove one")
		}
		plain, err := stringKeys(v)
		if err != nil {
			return nil, err
		}
		group[name(key)] = plain
	}
	return group, nil
}
