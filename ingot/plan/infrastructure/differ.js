// Compares CloudFormation templates with the CDK's own differ, the one in `cdk diff`, and writes what it
// found as JSON. stdin: [{before, after}]; stdout: one object for each. The package is looked up from the
// working directory, the project.
"use strict";
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { fullDiff } = createRequire(process.cwd() + "/")("@aws-cdk/cloudformation-diff");

const SECTIONS = ["parameters", "conditions", "mappings", "metadata", "outputs", "unknown"];

/** The path that the CDK wrote down for a resource, without the names that every construct has. */
function pathOf(change, logicalId) {
  const metadata = (change.newValue ?? change.oldValue)?.Metadata ?? {};
  const path = metadata["aws:cdk:path"];
  return path === undefined ? logicalId : path.replace(/\/(Resource|Default)$/, "");
}

function resource(logicalId, change) {
  const properties = Object.entries(change.propertyUpdates).map(([name, property]) => ({
    name,
    before: property.oldValue ?? null,
    after: property.newValue ?? null,
    impact: property.changeImpact ?? null,
  }));
  const other = Object.entries(change.otherChanges)
    .filter(([name, difference]) => difference.isDifferent && name !== "Metadata")
    .map(([name, difference]) => ({
      name,
      before: difference.oldValue ?? null,
      after: difference.newValue ?? null,
    }));
  return {
    logical_id: logicalId,
    path: pathOf(change, logicalId),
    type: change.newResourceType ?? change.oldResourceType,
    impact: change.changeImpact,
    properties,
    other,
  };
}

function sections(diff) {
  const found = [];
  for (const section of SECTIONS) {
    diff[section].forEachDifference((name, difference) => {
      found.push({ section, name, before: difference.oldValue ?? null, after: difference.newValue ?? null });
    });
  }
  for (const section of ["awsTemplateFormatVersion", "description", "transform"]) {
    const difference = diff[section];
    if (difference?.isDifferent) {
      found.push({
        section,
        name: section,
        before: difference.oldValue ?? null,
        after: difference.newValue ?? null,
      });
    }
  }
  return found;
}

/** Rows of cells, without the header that says what the cells are. */
const rows = (table) => table.slice(1);

function compare({ before, after }) {
  const diff = fullDiff(before, after);
  const resources = [];
  diff.resources.forEachDifference((logicalId, change) => {
    const found = resource(logicalId, change);
    if (
      change.resourceType !== "AWS::CDK::Metadata" &&
      (change.isAddition || change.isRemoval || found.properties.length + found.other.length > 0)
    ) {
      resources.push(found);
    }
  });
  return {
    resources,
    other: sections(diff),
    security: {
      broadened: diff.permissionsBroadened,
      statements: diff.iamChanges.hasChanges ? rows(diff.iamChanges.summarizeStatements()) : [],
      policies: diff.iamChanges.hasChanges ? rows(diff.iamChanges.summarizeManagedPolicies()) : [],
      rules: diff.securityGroupChanges.hasChanges ? rows(diff.securityGroupChanges.summarize()) : [],
    },
  };
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(compare)));
