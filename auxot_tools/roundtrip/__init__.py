"""Tests of tool-use round trips against any Messages endpoint: checks, reports, recordings."""
