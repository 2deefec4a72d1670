#!/usr/bin/perl
# Gives this clone the host name that EC2 chose for it. Nothing is written to the disk: a clone stays equal to its image.
use strict;
use warnings;
use lib '/usr/lib/ingot';
use Ingot;

my $name = Ingot::wait_for_metadata('meta-data/local-hostname', 60);
exit 0 unless defined $name && $name =~ /^([A-Za-z0-9-]{1,63})/;
open my $file, '>', '/proc/sys/kernel/hostname' or die "/proc/sys/kernel/hostname: $!\n";
print {$file} "$1\n";
close $file or die "/proc/sys/kernel/hostname: $!\n";
