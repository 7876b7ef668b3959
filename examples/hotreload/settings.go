package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
)

// settings can be changed while the program runs.
type settings struct {
	LogLevel slog.Level `config:"log-level" default:"info"`
	Limits   struct {
		Rate int `config:"rate" default:"10"` // requests a second
	} `config:"limits"`
	APIToken string `config:"api-token,secret"` // required to change settings; if empty, anybody may
}

// Validate is called before a change is applied.
func (s *settings) Validate() error {
	if s.Limits.Rate < 0 {
		return errors.New("limits.rate is negative; it must be at least 0, which allows no request")
	}
	return nil
}

// origin is the place of the settings.
type origin struct {
	layer config.Layer
	// shared changes the settings; nil for a file, which is edited instead.
	shared *config.Source
}

const (
	name = "shop" // of the settings on a backend
	// quiet is for backends that cannot read all settings at one moment.
	quiet = 100 * time.Millisecond
)

// openOrigin adds what it opens to opened.
func openOrigin(ctx context.Context, url string, opened *fairlead.Closers) (origin, error) {
	if strings.HasPrefix(url, "file:") {
		return origin{layer: config.FromURL(url, name)}, nil
	}
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return origin{}, err
	}
	opened.Add(p)
	shared, err := config.Open(ctx, p, name)
	if err != nil {
		return origin{}, err
	}
	opened.Add(shared)
	return origin{config.From(p, name, config.QuietPeriod(quiet)), shared}, nil
}
