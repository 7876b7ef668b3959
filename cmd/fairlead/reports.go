package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"fairlead.dev/conformance"
)

// reportFile is where a report is written, and how it is encoded. It is opened
// before the run, so that a path that cannot be written does not cost a run.
type reportFile struct {
	encode  func(*conformance.Report) ([]byte, error)
	file    *os.File // nil for standard output
	created bool     // the file is new and still empty
}

// reportFiles are the reports that the flags name.
type reportFiles []*reportFile

// openReports opens the files that the flags name.
func (f conformanceFlags) openReports() (reportFiles, error) {
	if f.json != "" && f.json == f.junit {
		return nil, fmt.Errorf("--json and --junit are both %q; give different files", f.json)
	}
	var all reportFiles
	for _, one := range []struct {
		flag, path string
		encode     func(*conformance.Report) ([]byte, error)
	}{{"--json", f.json, encodeJSON}, {"--junit", f.junit, junitXML}} {
		if one.path == "" {
			continue
		}
		r, err := openReport(one.path)
		if err != nil {
			all.close()
			return nil, &exitError{fmt.Errorf("%s: the file of %s cannot be written: %w", conformance.Undecided, one.flag, err), exitUndecided}
		}
		r.encode = one.encode
		all = append(all, r)
	}
	return all, nil
}

func openReport(path string) (*reportFile, error) {
	if path == "-" {
		return &reportFile{}, nil
	}
	_, statErr := os.Stat(path)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644) // the old report stays until there is a new one
	return &reportFile{file: file, created: errors.Is(statErr, os.ErrNotExist)}, err
}

// close closes the files, and removes those that are new and still empty.
func (all reportFiles) close() {
	for _, r := range all {
		if r.file == nil {
			continue
		}
		_ = r.file.Close() // write has closed it if there was a report
		if r.created {
			_ = os.Remove(r.file.Name())
		}
	}
}

// write writes the reports.
func (all reportFiles) write(stdout io.Writer, report *conformance.Report) error {
	for _, r := range all {
		b, err := r.encode(report)
		if err == nil {
			err = r.writeBytes(stdout, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reportFile) writeBytes(stdout io.Writer, b []byte) error {
	if r.file == nil {
		_, err := stdout.Write(b)
		return err
	}
	r.created = false
	if info, err := r.file.Stat(); err == nil && info.Mode().IsRegular() { // a device cannot be truncated
		if err := r.file.Truncate(0); err != nil {
			return err
		}
	}
	_, err := r.file.Write(b)
	return errors.Join(err, r.file.Close())
}

func encodeJSON(r *conformance.Report) ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}
