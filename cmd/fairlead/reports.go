package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"fairlead.dev/cmd/fairlead/internal/page"
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

// reportForm is a form in which a report is written, and the flag with the path.
type reportForm struct {
	flag, path string
	encode     func(*conformance.Report) ([]byte, error)
}

// forms returns the forms that the flags ask for, or an error if two of them have the
// same path.
func (f conformanceFlags) forms(run page.Run) (all []reportForm, err error) {
	for _, one := range []reportForm{
		{"--json", f.json, encodeJSON}, {"--junit", f.junit, junitXML}, {"--badge", f.badge, badgeSVG},
		{"--html", f.html, func(r *conformance.Report) ([]byte, error) { return page.Draw(r, run) }},
	} {
		if one.path == "" {
			continue
		}
		for _, other := range all {
			if other.path == one.path {
				return nil, fmt.Errorf("%s and %s are both %q; give different files", other.flag, one.flag, one.path)
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// toStdout reports whether a report is written to standard output.
func toStdout(forms []reportForm) bool {
	return slices.ContainsFunc(forms, func(f reportForm) bool { return f.path == "-" })
}

// openReports opens the files of the reports.
func openReports(forms []reportForm) (reportFiles, error) {
	var all reportFiles
	for _, one := range forms {
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
