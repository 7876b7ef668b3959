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

// fileRetry is how often filevar looks for a file that is missing.
const fileRetry = time.Second

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
		return nil, fairlead.Errorf(fairlead.Invalid, "this URL names a folder and nothing else; its forms are gocloud+file:///absolute/folder and gocloud+file://./folder")
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fairlead.Errorf(fairlead.Unavailable, "%w", err)
	case !info.IsDir():
		return nil, fairlead.Errorf(fairlead.Invalid, "%q is not a folder; the URL names the folder of the files", dir)
	}
	read := Format(s.String("format"))
	return &Backend{
		System: "file", Endpoint: dir, Shared: true,
		Vars: &Vars{
			Format: read,
			// filevar says so of every file that it cannot open.
			Missing: func(name string, _ error) bool {
				_, err := os.Stat(read.file(dir, name))
				return errors.Is(err, fs.ErrNotExist)
			},
			OpenVariable: func(_ context.Context, name string) (*runtimevar.Variable, error) {
				return filevar.OpenVariable(read.file(dir, name), runtimevar.BytesDecoder, &filevar.Options{WaitDuration: fileRetry})
			},
		},
	}, nil
}

// file is where the settings of a name are.
func (f Format) file(dir, name string) string {
	if f != formatText {
		name += "." + string(f)
	}
	return filepath.Join(dir, name)
}

func constantDriver() Driver {
	return Driver{
		Scheme: "constant",
		Help:   `settings that are in the URL, for tests: gocloud+constant://?val={"rate":3}`,
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
