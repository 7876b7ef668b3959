package gocloud

import (
	"encoding/json"
	"fmt"

	kmaps "github.com/knadh/koanf/maps"

	"fairlead.dev/config/driver"
	"fairlead.dev/config/driver/format"
	"fairlead.dev/providers"
)

// Format is the encoding of the settings in a variable.
type Format string

const (
	formatJSON = Format(format.JSON)
	formatYAML = Format(format.YAML)
	formatTOML = Format(format.TOML)
	formatText = Format("text") // one setting, named textKey
)

const textKey = "value"

// FormatSetting returns the setting that selects the encoding of variables. A
// driver with variables declares it.
func FormatSetting() providers.Setting {
	return providers.Setting{
		Name: "format", Kind: providers.Enum, Default: string(formatJSON),
		Values: []string{string(formatJSON), string(formatYAML), string(formatTOML), string(formatText)},
		Help:   "encoding of the variables: json, yaml and toml hold many settings, whose nested names are joined by dots; text is one setting, named \"" + textKey + "\"",
	}
}

// parseSettings returns the settings in a text. An empty text has none.
func (f Format) parseSettings(text []byte) (map[string]driver.Value, error) {
	if f == formatText {
		return map[string]driver.Value{textKey: {Data: text}}, nil
	}
	nested, err := format.Format(f).Decode(text)
	if err != nil {
		return nil, err
	}
	flat, _ := kmaps.Flatten(nested, nil, ".")
	values := make(map[string]driver.Value, len(flat))
	for key, v := range flat {
		data, err := encodeSetting(v)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		values[key] = driver.Value{Data: data}
	}
	return values, nil
}

// encodeSetting returns a string unchanged, and every other value as JSON.
func encodeSetting(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case nil:
		return []byte{}, nil
	default:
		return json.Marshal(v)
	}
}
