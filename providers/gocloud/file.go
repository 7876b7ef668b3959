package gocloud

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gocloud.dev/runtimevar"
	"gocloud.dev/runtimevar/constantvar"
	"gocloud.dev/runtimevar/filevar"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// missingFilePoll is how often filevar looks for a file that is missing.
const missingFilePoll = time.Second

func fileDriver() Driver {
	return Driver{
		Scheme:   "file",
		Help:     "files of settings, read by filevar of gocloud.dev: gocloud+file:///etc/app reads the settings NAME from /etc/app/NAME.json",
		Settings: []providers.Setting{FormatSetting()},
		Open:     openFiles,
	}
}

func openFiles(_ context.Context, s providers.Settings) (*Backend, error) {
	dir := filepath.FromSlash(s.URL.Path)
	if s.URL.Host == "." {
		dir = filepath.Join(".", dir)
	}
	if s.URL.User != nil || (s.URL.Host != "" && s.URL.Host != ".") || dir == "" {
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL names only a folder; use gocloud+file:///absolute/folder or gocloud+file://./folder")
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fairlead.Errorf(fairlead.Unavailable, "%w", err)
	case !info.IsDir():
		return nil, fairlead.Errorf(fairlead.Invalid, "%q is not a folder; name the folder that contains the files", dir)
	}
	format := Format(s.String("format"))
	return &Backend{
		System: "file", Endpoint: dir, Shared: true,
		Vars: &Vars{
			Format: format,
			// filevar reports every file that it cannot open as missing.
			Missing: func(name string, _ error) bool {
				_, err := os.Stat(format.filePath(dir, name))
				return errors.Is(err, fs.ErrNotExist)
			},
			OpenVariable: func(_ context.Context, name string) (*runtimevar.Variable, error) {
				return filevar.OpenVariable(format.filePath(dir, name), runtimevar.BytesDecoder, &filevar.Options{WaitDuration: missingFilePoll})
			},
		},
	}, nil
}

// filePath returns the file that holds the settings of a name.
func (f Format) filePath(dir, name string) string {
	if f != formatText {
		name += "." + string(f)
	}
	return filepath.Join(dir, name)
}

func constantDriver() Driver {
	return Driver{
		Scheme: "constant",
		Help:   `settings in the URL, for tests: gocloud+constant://?val={"rate":3}`,
		Settings: []providers.Setting{FormatSetting(),
			{Name: "val", Kind: providers.String, Help: "the content of every variable"}},
		Open: openConstant,
	}
}

func openConstant(_ context.Context, s providers.Settings) (*Backend, error) {
	return &Backend{
		System: "gocloud.constant", Volatile: true, Shared: true,
		Vars: &Vars{
			Format: Format(s.String("format")),
			OpenVariable: func(context.Context, string) (*runtimevar.Variable, error) {
				return constantvar.NewBytes([]byte(s.String("val")), runtimevar.BytesDecoder), nil
			},
		},
	}, nil
}
