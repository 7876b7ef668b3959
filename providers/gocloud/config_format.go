package gocloud

import (
	"encoding/json"
	"fmt"

	kmaps "github.com/knadh/koanf/maps"
	kjson "github.com/knadh/koanf/parsers/json"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"

	"fairlead.dev/config/driver"
	"fairlead.dev/providers"
)

// Format is how the content of a variable is a set of settings.
type Format string

const (
	formatJSON Format = "json"
	formatYAML Format = "yaml"
	formatTOML Format = "toml"
	formatText Format = "text" // one setting, called textKey
)

const textKey = "value"

// FormatSetting is the setting that says how the content of a variable is
// read. A driver with variables declares it.
func FormatSetting() providers.Setting {
	return providers.Setting{
		Name: "format", Kind: providers.Enum, Default: string(formatJSON),
		Values: []string{string(formatJSON), string(formatYAML), string(formatTOML), string(formatText)},
		Help:   "how a variable's content is read: json, yaml and toml hold many settings, nested names joined by dots; text is one setting, called \"" + textKey + "\"",
	}
}

// values returns the settings that a content holds. One without any is empty.
func (f Format) values(text []byte) (map[string]driver.Value, error) {
	if f == formatText {
		return map[string]driver.Value{textKey: {Data: text}}, nil
	}
	nested, err := f.parse(text)
	if err != nil {
		return nil, err
	}
	flat, _ := kmaps.Flatten(nested, nil, ".")
	values := make(map[string]driver.Value, len(flat))
	for key, v := range flat {
		data, err := leaf(v)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		values[key] = driver.Value{Data: data}
	}
	return values, nil
}

func (f Format) parse(text []byte) (map[string]any, error) {
	if len(text) == 0 {
		return nil, nil
	}
	switch f {
	case formatYAML:
		return yaml.Parser().Unmarshal(text)
	case formatTOML:
		return toml.Parser().Unmarshal(text)
	default:
		return kjson.Parser().Unmarshal(text)
	}
}

// leaf writes a string as it is and everything else as JSON.
func leaf(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case nil:
		return []byte{}, nil
	default:
		return json.Marshal(v)
	}
}
