package config

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"fairlead.dev"
)

// FromURL is a layer that a URL names, so that the origin of the settings can
// itself be a setting:
//
//	file:app.yaml, file:///etc/app.toml   is [File]
//	env:APP_                              is [Env]
//	redis://127.0.0.1, any other          is [From] the provider that fairlead.Open opens
//
// The layer owns the provider. The name and the options have the same meaning as
// in [From]; they are ignored for a file and the environment.
func FromURL(url, name string, opts ...SourceOption) Layer {
	scheme, rest, found := strings.Cut(url, ":")
	switch {
	case !found || url == "":
		return Layer{err: fairlead.Errorf(fairlead.Invalid, "%s is not the URL of a layer; give one such as redis://127.0.0.1, file:app.yaml or env:APP_", quoteName(url))}
	case scheme == "env":
		return Env(rest)
	case scheme == "file":
		return fileURL(url, rest)
	}
	return Layer{open: func(ctx context.Context) (feed, error) {
		p, err := fairlead.Open(ctx, url)
		if err != nil {
			return nil, err
		}
		s, err := Open(ctx, p, name, opts...)
		if err != nil {
			return nil, errors.Join(err, p.Close(ctx))
		}
		return ownerFeed{sourceFeed{s}, p}, nil
	}}
}

func fileURL(url, rest string) Layer {
	path, slashes := strings.CutPrefix(rest, "//")
	if path == "" || slashes && !strings.HasPrefix(path, "/") {
		return Layer{err: fairlead.Errorf(fairlead.Invalid, "the URL %s names no file; give one such as file:///etc/app.yaml, or file:app.yaml in the working directory", quoteName(url))}
	}
	return File(path)
}

// quoteName quotes what should be a name or a path, unless it looks like a URL
// with a password.
func quoteName(name string) string {
	if strings.Contains(name, "@") {
		return "the text that is given"
	}
	return strconv.Quote(name)
}

// ownerFeed is a sourceFeed with the provider that was opened for it.
type ownerFeed struct {
	sourceFeed
	provider fairlead.Provider
}

func (f ownerFeed) close(ctx context.Context) error {
	return errors.Join(f.sourceFeed.close(ctx), f.provider.Close(ctx))
}
