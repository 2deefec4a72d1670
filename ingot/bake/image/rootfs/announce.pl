#!/usr/bin/perl
# Says early on the console which image this clone runs.
use strict;
use warnings;
use lib '/usr/lib/ingot';
use Ingot;

my $json = '{"boot":' . Ingot::json_string(Ingot::boot_id()) . ',' . join(',', map { "\"$_\":" . Ingot::json_string(Ingot::image($_)) } qw(digest recipe version)) . '}';
Ingot::report('ingot-image', $json);
