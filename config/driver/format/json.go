package format

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// decodeJSON decodes a text. Unlike encoding/json, it refuses a key that is given
// twice.
func decodeJSON(text []byte) (any, error) {
	var valid json.RawMessage
	if err := json.Unmarshal(text, &valid); err != nil { // also bounds the depth
		return nil, err
	}
	r := jsonReader{json.NewDecoder(bytes.NewReader(text)), text}
	r.UseNumber()
	return r.value()
}

// jsonReader reads a valid text token by token.
type jsonReader struct {
	*json.Decoder
	text []byte
}

func (r jsonReader) value() (any, error) {
	token, err := r.Token()
	switch {
	case err != nil:
		return nil, err
	case token == json.Delim('{'):
		return r.group()
	case token == json.Delim('['):
		return r.list()
	}
	return token, nil
}

func (r jsonReader) group() (any, error) {
	group := map[string]any{}
	for r.More() {
		key, err := r.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string)
		if _, twice := group[name]; twice {
			return nil, problem(fmt.Sprintf(errTwice, lineAt(r.text, r.InputOffset())))
		}
		if group[name], err = r.value(); err != nil {
			return nil, err
		}
	}
	_, err := r.Token() // the closing brace
	return group, err
}

func (r jsonReader) list() (any, error) {
	list := []any{}
	for r.More() {
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.Token() // the closing bracket
	return list, err
}
